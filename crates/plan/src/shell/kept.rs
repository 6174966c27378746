//! The scripts of a plan, each read once however many rules ask for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{Shell, read};

/// What was read of each script, by its text.
#[derive(Debug, Default)]
pub(crate) struct Shells {
    known: RefCell<HashMap<String, Rc<Shell>>>,
}

impl Shells {
    /// What a script would do.
    pub(crate) fn of(&self, text: &str) -> Rc<Shell> {
        if let Some(known) = self.known.borrow().get(text) {
            return Rc::clone(known);
        }
        let shell = Rc::new(read(text));
        self.known.borrow_mut().insert(text.to_owned(), Rc::clone(&shell));
        shell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once() {
        let text = "pg_dump orders | gzip";
        let shells = Shells::default();
        let first = shells.of(text);
        assert_eq!(*first, read(text));
        assert!(Rc::ptr_eq(&first, &shells.of(text)));
        assert!(!Rc::ptr_eq(&first, &shells.of("pg_dump orders")));
    }
}
