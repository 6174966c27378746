//! Scripts as they stand in runbooks, and anything else.

mod properties;

use super::*;

/// The words of each command.
fn commands(text: &str) -> Vec<String> {
    read(text).commands.iter().map(line).collect()
}

fn line(command: &Command) -> String {
    let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
    words.join("·")
}

fn clean(text: &str) -> Shell {
    let shell = read(text);
    assert_eq!(shell.unread, vec![], "{text}");
    shell
}

#[test]
fn words_lose_their_quotes_and_keep_their_places() {
    let text = "echo 'a b' \"c $X ${Y:-z}\" d\\ e \"\"";
    let shell = clean(text);
    let words = &shell.commands[0].words;
    let texts: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["echo", "a b", "c $X ${Y:-z}", "d e", ""]);
    let written: Vec<_> = words.iter().map(|word| text.get(word.range.clone()).unwrap()).collect();
    assert_eq!(written, ["echo", "'a b'", "\"c $X ${Y:-z}\"", "d\\ e", "\"\""]);
    assert!(words[1].is_literal && words[1].is_quoted);
    assert!(!words[2].is_literal);
    assert_eq!(words[2].parameters, ["X", "Y"]);
    assert_eq!(shell.parameters[1].form, Form::Default("z".to_owned()));
    assert_eq!(text.get(shell.parameters[1].range.clone()), Some("${Y:-z}"));
}

#[test]
fn lists_and_pipelines_know_their_neighbours() {
    let text = "a | b && ! c || { d; exit 1; } &\ne";
    let shell = clean(text);
    assert_eq!(commands(text), ["a", "b", "c", "d", "exit·1", "e"]);
    let at = |index: usize| &shell.commands[index].position;
    assert_eq!((at(0).pipe_index, at(0).pipe_length, at(1).pipe_index), (0, 2, 1));
    assert_eq!(at(1).after, Some(Operator::And));
    assert_eq!((at(2).before, at(2).after), (Some(Operator::And), Some(Operator::Or)));
    assert!(at(2).is_negated && at(2).is_background && !at(4).is_background);
    let next: Vec<_> = shell.next_in_list(&shell.commands[2]).map(line).collect();
    assert_eq!(next, ["d", "exit·1"]);
    let pipeline: Vec<_> = shell.pipeline(&shell.commands[0]).map(line).collect();
    assert_eq!(pipeline, ["a", "b"]);
}

#[test]
fn compound_commands_say_where_a_command_stands() {
    let text = "if a; then b; elif c; then d; else e; fi
for X in 1 2; do f \"$X\"; done < list
while read -r L; do g; done
until h; do i; done
case $1 in x|y) j ;; *) k; l ;; esac
name() { m; }
(n; o) | p
[[ -f /etc/x && $A == b ]] && q
((i++))
for ((i=0; i<3; i++)); do r; done";
    let shell = clean(text);
    let place = |name: &str| {
        let found = shell.commands.iter().find(|command| command.program() == Some(name)).unwrap();
        let block = found.position.block.map(|block| shell.blocks[block].kind.clone());
        (block, found.position.role)
    };
    assert_eq!(place("a"), (Some(BlockKind::If), Role::IfCondition));
    assert_eq!(place("c"), (Some(BlockKind::If), Role::IfCondition));
    assert_eq!(place("e"), (Some(BlockKind::If), Role::Body));
    assert_eq!(place("f"), (Some(BlockKind::For), Role::Body));
    assert_eq!(place("h"), (Some(BlockKind::Until), Role::LoopCondition));
    assert_eq!(place("l"), (Some(BlockKind::Case), Role::Body));
    assert_eq!(shell.functions, ["name"]);
    assert_eq!(place("o"), (Some(BlockKind::Subshell), Role::Body));
    assert_eq!(place("q").0, None);
    assert_eq!(place("r").0, Some(BlockKind::For));
    let m = shell.commands.iter().find(|command| command.program() == Some("m")).unwrap();
    let around: Vec<_> = shell.blocks_around(m).map(|block| block.kind.clone()).collect();
    assert_eq!(around, [BlockKind::Group, BlockKind::Function("name".to_owned())]);
    let assigned: Vec<_> = shell.assignments.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(assigned, ["X", "L"]);
}

#[test]
fn substitutions_are_read_before_the_command_they_are_part_of() {
    let text = "A=$(date +%s) B=`hostname \\`x\\`` run \"$(psql -tAc \"select 1\")\" <(ls)";
    let run = "run·$(psql -tAc \"select 1\")·<(ls)";
    let expect = ["date·+%s", "x", "hostname·`x`", "psql·-tAc·select 1", "ls", run];
    assert_eq!(commands(text), expect);
    let shell = clean(text);
    let is_substitution = |block: &&Block| block.kind == BlockKind::Substitution;
    assert_eq!(shell.blocks.iter().filter(is_substitution).count(), 4);
    assert_eq!(text.get(shell.commands[0].range.clone()), Some("date +%s"));
}

#[test]
fn wrappers_are_taken_off() {
    let many = ["sudo", "env", "timeout", "nice"];
    for (text, program, wrappers) in [
        ("sudo -u postgres psql -l", "psql", &["sudo"][..]),
        ("sudo -E env A=b timeout -k 5 5m nice -n 3 rsync a b", "rsync", &many[..]),
        ("nohup /usr/bin/k3s server &", "k3s", &["nohup"][..]),
        ("ls | xargs -n 1 -I{} rm {}", "rm", &["xargs"][..]),
        ("sudo -i", "sudo", &[][..]),
        ("command -v psql", "command", &[][..]),
        ("env", "env", &[][..]),
        ("time -p ls", "ls", &[][..]),
    ] {
        let shell = clean(text);
        let command = shell.commands.last().unwrap();
        assert_eq!(command.program(), Some(program), "{text}");
        let names: Vec<_> = command.wrappers.iter().map(|wrapper| wrapper.name.as_str()).collect();
        assert_eq!(names, wrappers, "{text}");
    }
}

#[test]
fn scripts_inside_of_scripts_are_read_in_their_places() {
    let text = "ssh -i key -p 22 admin@host 'cd /x && systemctl stop \"k3s\"'
sudo bash -euo pipefail -c \"rm -rf \\\"$D/\\\"\"
kubectl exec -it postgres-0 -n db -- pg_restore -d k -c /tmp/x
kubectl exec p -- bash -c \"
psql -c 'SELECT 1'\"
find . -name '*.log' -exec gzip {} \\; -exec mv {} /old +
docker exec -u postgres db psql -c 'SELECT 2'";
    let shell = clean(text);
    let inner: Vec<_> = shell
        .commands
        .iter()
        .filter_map(|command| {
            let written = text.get(command.range.clone()).unwrap();
            Some((line(command), command.nested?.via, written))
        })
        .collect();
    let expect = [
        ("cd·/x", Via::Remote, "cd /x"),
        ("systemctl·stop·k3s", Via::Remote, "systemctl stop \"k3s\""),
        ("rm·-rf·$D/", Via::Shell, "rm -rf \\\"$D/\\\""),
        ("pg_restore·-d·k·-c·/tmp/x", Via::Container, "pg_restore -d k -c /tmp/x"),
        ("bash·-c·\npsql -c 'SELECT 1'", Via::Container, "bash -c \"\npsql -c 'SELECT 1'\""),
        ("psql·-c·SELECT 1", Via::Shell, "psql -c 'SELECT 1'"),
        ("gzip·{}", Via::Each, "gzip {}"),
        ("mv·{}·/old", Via::Each, "mv {} /old"),
        ("psql·-c·SELECT 2", Via::Container, "psql -c 'SELECT 2'"),
    ];
    assert_eq!(inner, expect.map(|(words, via, text)| (words.to_owned(), via, text)));
    let rm = shell.commands.iter().find(|command| command.program() == Some("rm")).unwrap();
    assert!(rm.options.errexit && rm.options.nounset && rm.options.pipefail);
    assert_eq!(shell.parameters.len(), 1, "the parameter of the inner script is the outer one's");
    let sql: Vec<_> = shell.statements.iter().map(|found| found.text.as_str()).collect();
    assert_eq!(sql, ["SELECT 1", "SELECT 2"]);
    assert_eq!(text.get(shell.statements[0].range.clone()), Some("'SELECT 1'"));
}

#[test]
fn here_documents_belong_to_their_commands() {
    let text = "cat > /etc/x <<EOF && next
a $B <token>
EOF
ssh host <<'END'
systemctl start x
END
psql db <<-SQL
\tSELECT 1;
\tSQL
bash <<< 'ls -l'
sudo ssh host bash -s <<EOF
df -h
EOF";
    let shell = clean(text);
    let found = &shell.commands[0];
    assert_eq!(found.files_written().next().unwrap().text, "/etc/x");
    let body = &found.here_document().unwrap().body;
    assert_eq!(body.text, "a $B <token>\n");
    assert_eq!(text.get(body.range.clone()), Some("a $B <token>\n"));
    assert_eq!(shell.placeholders[0].text, "<token>");
    let expect = [
        "cat",
        "next",
        "ssh·host",
        "systemctl·start·x",
        "psql·db",
        "bash",
        "ls·-l",
        "ssh·host·bash·-s",
        "bash·-s",
        "df·-h",
    ];
    assert_eq!(shell.commands.iter().map(line).collect::<Vec<_>>(), expect);
    assert_eq!(shell.statements[0].text, "SELECT 1;\n");
}

#[test]
fn options_are_those_in_force_at_each_command() {
    let text = "#!/bin/bash -e
a
set -uo pipefail
b
(set +e; c)
d
set +o errexit
e
trap 'exit 2' ERR
f";
    let shell = clean(text);
    let of = |name: &str| {
        let found = shell.commands.iter().find(|command| command.program() == Some(name)).unwrap();
        (found.options.errexit, found.options.nounset, found.options.pipefail)
    };
    assert_eq!(of("a"), (true, false, false));
    assert_eq!(of("b"), (true, true, true));
    assert_eq!(of("c"), (false, true, true));
    assert_eq!(of("d"), (true, true, true));
    assert_eq!(of("e"), (false, true, true));
    assert_eq!(of("f"), (true, true, true));
    let given = ShellOptions::of_invocation(["/bin/bash", "-euo", "pipefail", "-c"]);
    assert!(given.errexit && given.nounset && given.pipefail);
    assert!(read_with("x", given).commands[0].options.pipefail);
}

#[test]
fn placeholders_are_words_and_no_redirections() {
    for (text, expect) in [
        ("kubectl delete pod <pod> -n <ns> --grace-period=0", &["<pod>", "<ns>"][..]),
        ("k3s server --token <token>", &["<token>"][..]),
        ("k3s server --server https://<new node>:6443 \\\n -t <t>", &["<new node>", "<t>"][..]),
        ("scp backup-<YYYY-MM-DD>.gz host:/<dir>/", &["<YYYY-MM-DD>", "<dir>"][..]),
        ("curl -H 'X: YOUR_API_KEY' http://10.x.x.x/", &["YOUR_API_KEY", "10.x.x.x"][..]),
        ("call +1-XXX-XXX-XXXX", &["+1-XXX-XXX-XXXX"][..]),
        ("export P=changeme Q=REPLACE_ME", &["changeme", "REPLACE_ME"][..]),
        ("pg_restore -d x /path/to/backup.dump", &["/path/to/backup.dump"][..]),
        ("mail [affected users] [CLUSTER_NAME]", &["[affected users]", "[CLUSTER_NAME]"][..]),
        ("oss cp oss://b/{backup-name} b-YYYYMMDD.sql", &["{backup-name}", "YYYYMMDD"][..]),
        ("terraform apply …", &["…"][..]),
        ("aws ec2 start --id i-xxxxxxxx", &["i-xxxxxxxx"][..]),
    ] {
        let shell = clean(text);
        let found: Vec<_> = shell.placeholders.iter().map(|found| found.text.as_str()).collect();
        assert_eq!(found, expect, "{text}");
        for placeholder in &shell.placeholders {
            let written = text.get(placeholder.range.clone());
            assert_eq!(written, Some(placeholder.text.as_str()), "{text}");
        }
        assert!(shell.commands[0].redirections.is_empty(), "{text}");
    }
}

#[test]
fn what_only_looks_like_a_placeholder_is_none() {
    for text in [
        "sort <input >output",
        "sort <in>out",
        "cat < file > out",
        "diff <(a) <(b)",
        "[ -f file ] && [[ $a == [abc]* ]]",
        "echo '<h1>title</h1>' \"<br>\"",
        "grep -P '(?<name>x)' f",
        "awk '{print}' f; find . -exec rm {} +; echo {a,b} ${x} HEAD@{upstream} {1..3}",
        "docker ps --format '{{.Names}}'; kubectl get po -o jsonpath='{.items}'",
        "psql -c \"SELECT to_char(now(), 'YYYY-MM-DD')\"",
        "tar xzf a.tar.gz && go test ./... && set -x",
        "sed 's/[a-z ]*//; s/[[:space:]]//' f",
        "echo x.x 1.2.3.4 hexxxed",
        "mysql < dump.sql > log.txt 2>&1",
        "D=$(mktemp -d /tmp/x-XXXXXX); kubectl get pods -o wide | grep '<none>'; tar cf a.XXXXX",
    ] {
        assert_eq!(clean(text).placeholders, vec![], "{text}");
    }
}

#[test]
fn a_mistake_is_noted_and_the_rest_is_read() {
    let indented = "`EOF` is indented: to the shell the text goes on";
    for (text, expect, why) in [
        ("ls\necho 'open\nrm x", &["ls", "echo·'open", "rm·x"][..], "the quote is never closed"),
        ("if a; then\nb", &["a", "b"][..], "`if` has no `fi`"),
        ("a\nfi\nb", &["a", "b"][..], "`fi` stands where a command was expected"),
        ("a (x)\nrm y", &["a", "rm·y"][..], "a parenthesis in the middle of a command"),
        ("cat <<EOF\nx", &["cat"][..], "the here-document has no line `EOF` that ends it"),
        ("a $(b\nc", &["a·$", "c"][..], "the parenthesis is never closed"),
        ("while a; do b\n", &["a", "b"][..], "`while` has no `done`"),
        ("cat <<EOF\n  x\n  EOF\nls", &["cat", "ls"][..], indented),
        ("ls >\nx", &["ls", "x"][..], "`>` says no file"),
    ] {
        let shell = read(text);
        assert_eq!(shell.commands.iter().map(line).collect::<Vec<_>>(), expect, "{text}");
        assert_eq!(shell.unread.first().map(|unread| unread.why.as_str()), Some(why), "{text}");
    }
}

#[test]
fn prompts_are_no_commands_and_output_is_left_out() {
    let text = "$ kubectl get nodes
NAME     STATUS
node-1   NotReady
# wait a minute
# systemctl restart k3s
admin@host:~$ ls \\
> -l
total 3
[root@host ~]# df";
    let shell = clean(text);
    assert!(shell.is_console);
    assert_eq!(
        shell.commands.iter().map(line).collect::<Vec<_>>(),
        ["kubectl·get·nodes", "systemctl·restart·k3s", "ls·-l", "df"]
    );
    assert_eq!(text.get(shell.commands[3].range.clone()), Some("df"));
    assert_eq!(shell.comments[0].text, "wait a minute");
    assert!(!read("# systemctl stop x\nls").is_console);
}

#[test]
fn comments_keep_their_words_and_places() {
    let text = "# 4. Join\nls # all of it\necho a#b '# no'";
    let shell = clean(text);
    let found: Vec<_> = shell
        .comments
        .iter()
        .map(|found| (found.text.as_str(), text.get(found.range.clone()).unwrap()))
        .collect();
    assert_eq!(found, [("4. Join", "# 4. Join"), ("all of it", "# all of it")]);
}
