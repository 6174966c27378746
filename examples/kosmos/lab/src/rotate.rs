//! New credentials, as Terraform makes them for the plan of KOSMOS: what was known to somebody who got in
//! opens nothing any more. Here that is the password of the database's user.

use crate::failure::Failure;
use crate::lab::Lab;
use crate::place::secret;

/// With whoever recovers: the password that the restored database is to have.
pub(crate) const PASSWORD: &str = "laptop/credentials/database";

/// Makes them. Services that are started from here on take them.
pub(crate) fn run(lab: &Lab) -> Result<(), Failure> {
    let (old, new) = (lab.secret("postgres-kosmos")?, secret::<16>());
    lab.describe(|description| {
        description.secrets.insert("postgres-kosmos".to_owned(), new.clone());
        if let Some(address) = description.addresses.get_mut("postgres") {
            *address = address.replace(&old, &new);
        }
    })?;
    write(lab)
}

/// Writes them down where whoever recovers finds them.
pub(crate) fn write(lab: &Lab) -> Result<(), Failure> {
    lab.directory("laptop/credentials")?;
    lab.file(PASSWORD, &lab.secret("postgres-kosmos")?).map(drop)
}
