//! `statesync serve` seen from outside: where it listens, and whom it lets in.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::support::{end_by, fixture, spawn};

/// What a server says until it serves, the port it listens on, and what it answers to a request for each host.
fn serve(arguments: &[&str], hosts: &[&str]) -> (String, Vec<String>) {
    let file = fixture("holesky");
    let mut child = spawn(&[&["serve", "--genesis", file.to_str().unwrap()], arguments].concat());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("serving on ") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    let port = said.trim().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let answers = hosts.iter().map(|host| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply.lines().next().unwrap_or_default().to_owned()
    });
    let answers = answers.collect();
    assert_eq!(end_by(rustix::process::Signal::TERM, child).code, Some(143));
    (said, answers)
}

#[test]
fn an_address_that_others_can_reach_is_warned_of_and_the_loopback_is_not() {
    let (said, _) = serve(&["--listen", "127.0.0.1:0"], &[]);
    assert!(!said.contains("warning"), "{said}");
    let (said, _) = serve(&["--listen", "0.0.0.0:0"], &[]);
    assert!(said.contains("warning: this address can be reached from other machines"), "{said}");
}

#[test]
fn only_names_that_were_given_are_let_in() {
    let hosts = ["localhost", "127.0.0.1", "node.example:8545", "evil.example"];
    let statuses = |arguments: &[&str]| -> Vec<bool> {
        let (_, answers) = serve(&[&["--listen", "127.0.0.1:0"], arguments].concat(), &hosts);
        answers.iter().map(|answer| answer.contains(" 200 ")).collect()
    };
    assert_eq!(statuses(&[]), [true, true, false, false]);
    assert_eq!(statuses(&["--host", "node.example"]), [true, true, true, false]);
    assert_eq!(statuses(&["--host", "*"]), [true; 4]);
}
