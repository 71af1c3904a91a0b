// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A real browser: what a page of another site has it send does nothing and counts for nothing.

use rustix::process::Signal;

use crate::support::browser::{Browser, site};
use crate::support::process::{Place, until};
use crate::support::served::Served;

/// A page that sends a form, a fetch and an image, and sets `window.over` once all are answered.
fn attack(server: &str) -> String {
    format!(
        "<iframe name=f></iframe><img id=i>
         <form id=g method=post enctype=text/plain target=f action='{server}/v1/models/form'>
         <input name=bytes value=evil></form>
         <script>
         const once = (element, ...kinds) => new Promise(resolve =>
             kinds.forEach(kind => element.addEventListener(kind, resolve, {{ once: true }})));
         const form = once(document.querySelector('iframe'), 'load');
         g.submit();
         const image = once(i, 'load', 'error');
         i.src = '{server}/v1/models/own';
         const send = (path, method) => fetch('{server}' + path, {{
             method, mode: 'no-cors', credentials: 'include', body: 'evil' }}).catch(() => 0);
         window.over = Promise.all([form, image, send('/v1/models/fetched', 'POST'),
             send('/v1/rollback/own', 'POST')]).then(() => 'over');
         </script>"
    )
}

#[test]
#[cfg_attr(
    not(all(has_chromium, has_curl)),
    ignore = "chromium or curl is not installed"
)]
fn pages_of_other_sites_do_nothing_and_count_for_nothing() {
    let settings = [
        "--plain",
        "--lockout-failures",
        "2",
        "--lockout-time",
        "15m",
    ];
    let server = Served::start(&settings);
    let authority = server.url["http://".len()..].to_owned();
    let place = Place::new();
    let mut browser = Browser::start(&place);

    // Somebody types the password once; from then on the browser sends it by itself.
    let typed = format!("http://x:{}@{authority}/v1/models", server.password());
    assert!(browser.open(&typed).contains("models"));
    let list = format!("{}/v1/models", server.url);
    assert!(browser.open(&list).contains("models"));
    let own = "fetch('/v1/models/own', { method: 'PUT', body: 'mine' }).then(it => it.status)";
    assert_eq!(browser.run(own), 201);

    let page = site(&attack(&server.url));
    browser.open(&page);
    assert_eq!(browser.run("window.over"), "over");
    assert_eq!(server.names(), ["own"]);

    // Nor does a page lock anybody out by having the browser open addresses with wrong passwords.
    for number in 0..3 {
        browser.open(&page);
        let wrong = format!("http://x:wrong{number}@{authority}/v1/models");
        browser.run(&format!("setTimeout(() => location.href = '{wrong}')"));
        until(|| browser.run("location.origin") == server.url.as_str());
        assert!(browser.loaded().contains("page of another site"));
    }
    server
        .curl_as("/v1/models", &["-u", "x:wrong"], b"")
        .is(401);

    // All of that did arrive.
    server.process.signal(Signal::TERM);
    let log = server.process.finish().stderr;
    for refused in [
        "POST /v1/models/form 403",
        "POST /v1/models/fetched 403",
        "POST /v1/rollback/own 403",
        "GET /v1/models/own 403",
        "GET /v1/models 403",
    ] {
        assert!(log.contains(refused), "{refused}: {log}");
    }
}
