// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a node runs side by side: each service has a name, starts, ends when it is stopped, and its
//! status and its error can be read.
//!
//! Invariant: the stop of one service leaves the others running; the stop of the node ends all.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::{Reason, Stop};
use crate::threads::{lock, spawn};

/// Something that a node runs in a thread of its own.
pub(crate) trait Service: Send {
    /// What it is called: one short word in lower case.
    fn name(&self) -> &'static str;

    /// Works until `stop`, or until it cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on; the node keeps it as the service's status.
    fn run(self: Box<Self>, stop: &Stop) -> Result<()>;
}

/// How a service is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// What it is called.
    pub name: &'static str,
    /// What it does now.
    pub state: ServiceState,
    /// Since when it does that.
    pub since: SystemTime,
    /// Why it failed, in words.
    pub error: Option<String>,
}

/// What a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It works.
    Running,
    /// It was stopped, or had no more to do.
    Ended,
    /// It could not go on.
    Failed,
}

/// The services of a node. Clones are the same services.
#[derive(Clone)]
pub struct Services(Arc<ServiceTable>);

struct ServiceTable {
    /// Ends all of them.
    stop: Stop,
    running: Mutex<Vec<RunningService>>,
}

struct RunningService {
    status: Arc<Mutex<ServiceStatus>>,
    stop: Stop,
    thread: ServiceThread,
}

/// The thread of a service; `None` once its end was waited for. Whoever waits holds the lock
/// meanwhile, so that all others wait as long.
type ServiceThread = Arc<Mutex<Option<JoinHandle<()>>>>;

impl RunningService {
    fn is_running(&self) -> bool {
        lock(&self.status).state == ServiceState::Running
    }
}

impl Services {
    /// No service yet; all of them will end with `stop`.
    pub(crate) fn new(stop: Stop) -> Self {
        Self(Arc::new(ServiceTable {
            stop,
            running: Mutex::default(),
        }))
    }

    /// Starts a service in a thread that is called as the service is.
    ///
    /// # Errors
    /// `Conflict` if a service of that name runs; `Internal` if the system has no thread to give.
    pub(crate) fn start(&self, service: Box<dyn Service>) -> Result<()> {
        let name = service.name();
        let mut running = lock(&self.0.running);

        // A service that has ended may be started again; its old status makes room.
        running.retain(|other| lock(&other.status).name != name || other.is_running());

        if running.iter().any(|other| lock(&other.status).name == name) {
            let text = format!("the service {name} is already running");
            return Err(Error::new(ErrorKind::Conflict, text));
        }

        let status = Arc::new(Mutex::new(ServiceStatus {
            name,
            state: ServiceState::Running,
            since: clock::now(),
            error: None,
        }));

        let stop = self.0.stop.child();

        let work = work(service, stop.clone(), Arc::clone(&status));

        // The lock is still held, so two services of one name cannot be started at one time.
        let thread =
            spawn(name, work).map_err(|error| Error::io("cannot start a service", error))?;

        running.push(RunningService {
            status,
            stop,
            thread: Arc::new(Mutex::new(Some(thread))),
        });

        Ok(())
    }

    /// How each service is doing, in the order in which they were started.
    pub fn status(&self) -> Vec<ServiceStatus> {
        let running = lock(&self.0.running);
        running
            .iter()
            .map(|service| lock(&service.status).clone())
            .collect()
    }

    /// Has one service end; says whether there is one of that name.
    pub fn stop(&self, name: &str) -> bool {
        let running = lock(&self.0.running);
        let found = running
            .iter()
            .find(|service| lock(&service.status).name == name);
        if let Some(service) = found {
            service.stop.trigger(Reason::Asked);
        }
        found.is_some()
    }

    /// Waits until a service is over, and says how it ended.
    ///
    /// # Errors
    /// `Internal` with what made it fail.
    pub(crate) fn join(&self, name: &str) -> Result<()> {
        // The lock is not held while waiting: others can still ask for the status or stop the
        // service.
        let (status, thread) = {
            let running = lock(&self.0.running);
            let mut services = running.iter();
            let Some(service) = services.find(|service| lock(&service.status).name == name) else {
                return Ok(());
            };
            (Arc::clone(&service.status), Arc::clone(&service.thread))
        };

        wait_for(&thread);

        let error = lock(&status).error.clone();

        error.map_or(Ok(()), |text| Err(Error::new(ErrorKind::Internal, text)))
    }

    /// Ends all services and waits for them.
    pub(crate) fn end(&self) {
        self.0.stop.trigger(Reason::Shutdown);
        let threads: Vec<_> = lock(&self.0.running)
            .iter()
            .map(|service| Arc::clone(&service.thread))
            .collect();

        for thread in &threads {
            wait_for(thread);
        }
    }
}

/// What the thread of a service does.
fn work(
    service: Box<dyn Service>,
    stop: Stop,
    status: Arc<Mutex<ServiceStatus>>,
) -> impl FnOnce() + Send + 'static {
    move || {
        // Its drop records a panic. It exists only here: work that is dropped because there is no
        // thread for it did not panic.
        let mut ending = Ending(status);
        let outcome = service.run(&stop);
        ending.keep(outcome.err());
    }
}

/// Returns once a service is over, however many wait for it.
fn wait_for(thread: &ServiceThread) {
    let mut held = lock(thread);

    // A panic has been logged, and is in the status.
    if let Some(thread) = held.take() {
        let _ = thread.join();
    }
}

/// Keeps how a service ended, a panic included.
struct Ending(Arc<Mutex<ServiceStatus>>);

impl Ending {
    fn keep(&mut self, error: Option<Error>) {
        let mut status = lock(&self.0);
        status.since = clock::now();

        status.state = match error {
            Some(_) => ServiceState::Failed,
            None => ServiceState::Ended,
        };

        if let Some(error) = error {
            log::error!("the service {} failed: {error}", status.name);
            status.error = Some(error.message().to_owned());
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let is_running = lock(&self.0).state == ServiceState::Running;
        if is_running {
            self.keep(Some(Error::new(ErrorKind::Internal, "it panicked")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Trial {
        name: &'static str,
        started: Sender<()>,
        end: fn(&Stop) -> Result<()>,
    }

    impl Service for Trial {
        fn name(&self) -> &'static str {
            self.name
        }

        fn run(self: Box<Self>, stop: &Stop) -> Result<()> {
            self.started.send(()).unwrap();
            (self.end)(stop)
        }
    }

    fn services() -> (Services, Stop) {
        let stop = Stop::new();
        (Services::new(stop.clone()), stop)
    }

    fn start(services: &Services, name: &'static str, end: fn(&Stop) -> Result<()>) -> Result<()> {
        let (started, was_started) = channel();
        services.start(Box::new(Trial { name, started, end }))?;
        was_started.recv().unwrap();
        Ok(())
    }

    fn until_stopped(stop: &Stop) -> Result<()> {
        stop.wait();
        Ok(())
    }

    /// Whoever does not wait for the end sees it run on.
    fn slowly(stop: &Stop) -> Result<()> {
        stop.wait();
        (0..1000).for_each(|_| std::thread::yield_now());
        Ok(())
    }

    #[test]
    fn one_service_ends_alone_and_all_end_with_the_node() {
        let (services, stop) = services();
        start(&services, "one", until_stopped).unwrap();
        start(&services, "two", slowly).unwrap();
        let error = start(&services, "two", until_stopped).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);

        assert!(services.stop("one") && !services.stop("three"));
        services.join("one").unwrap();
        let states = || {
            let all = services.status();
            all.iter()
                .map(|status| (status.name, status.state))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            states(),
            [("one", ServiceState::Ended), ("two", ServiceState::Running)]
        );

        services.end();
        assert!(stop.is_stopped());
        assert_eq!(
            states(),
            [("one", ServiceState::Ended), ("two", ServiceState::Ended)]
        );
    }

    #[test]
    fn what_fails_or_panics_says_so() {
        let (services, _stop) = services();
        let fail = |_: &Stop| Err(Error::new(ErrorKind::Internal, "no line"));
        start(&services, "fails", fail).unwrap();
        start(&services, "panics", |_| panic!("as asked")).unwrap();

        let error = services.join("fails").unwrap_err();
        assert!(error.message().contains("no line"), "{error}");
        let error = services.join("panics").unwrap_err();
        assert!(error.message().contains("panicked"), "{error}");
    }

    #[test]
    fn a_service_that_is_over_can_be_started_again() {
        let (services, _stop) = services();
        start(&services, "again", |_| Ok(())).unwrap();
        while services.status()[0].state == ServiceState::Running {
            std::thread::yield_now();
        }
        assert_eq!(services.status()[0].state, ServiceState::Ended);
        start(&services, "again", until_stopped).unwrap();
        assert_eq!(services.status().len(), 1);
        services.end();
    }

    #[test]
    fn work_without_a_thread_did_not_panic() {
        let status = Arc::new(Mutex::new(ServiceStatus {
            name: "unborn",
            state: ServiceState::Running,
            since: clock::now(),
            error: None,
        }));
        let (started, _) = channel();
        let service = Trial {
            name: "unborn",
            started,
            end: until_stopped,
        };

        drop(work(Box::new(service), Stop::new(), Arc::clone(&status)));
        assert_eq!(lock(&status).error, None);
    }

    #[test]
    fn all_who_wait_for_a_service_wait_to_its_end() {
        let (services, _stop) = services();
        start(&services, "one", until_stopped).unwrap();
        let (told, ends) = channel();

        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let (services, told) = (services.clone(), told.clone());
                std::thread::spawn(move || {
                    services.join("one").unwrap();
                    told.send(services.status()[0].state).unwrap();
                })
            })
            .collect();

        // Nobody comes back while the service runs.
        let early = ends.recv_timeout(std::time::Duration::from_millis(200));
        assert!(early.is_err(), "{early:?}");

        assert!(services.stop("one"));
        for thread in waiting {
            thread.join().unwrap();
            assert_eq!(ends.recv().unwrap(), ServiceState::Ended);
        }
    }
}
