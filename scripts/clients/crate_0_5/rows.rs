// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rows for the crate hf-hub 0.5: `rows ROW`. The token is in the home of the client.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use hf_hub::api::{RepoInfo, sync, tokio as waiting};
use hf_hub::{Repo, RepoType};
use tokio::runtime::Runtime;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Its two interfaces. The blocking one trusts the authorities that are built into it only, whatever the system has; the
/// other one trusts what `SSL_CERT_FILE` names.
enum Hub {
    Blocking(sync::Api),
    Waiting(waiting::Api, Runtime),
}

impl Hub {
    fn of_environment() -> Outcome<Self> {
        if env::var("HF_ENDPOINT")?.starts_with("https:") {
            let api = waiting::ApiBuilder::from_env()
                .with_progress(false)
                .build()?;
            return Ok(Self::Waiting(api, Runtime::new()?));
        }
        let api = sync::ApiBuilder::from_env().with_progress(false).build()?;
        Ok(Self::Blocking(api))
    }

    fn get(&self, repo: Repo, path: &str) -> Outcome<PathBuf> {
        match self {
            Self::Blocking(api) => Ok(api.repo(repo).get(path)?),
            Self::Waiting(api, runtime) => Ok(runtime.block_on(api.repo(repo).get(path))?),
        }
    }

    fn info(&self, repo: Repo) -> Outcome<RepoInfo> {
        match self {
            Self::Blocking(api) => Ok(api.repo(repo).info()?),
            Self::Waiting(api, runtime) => Ok(runtime.block_on(api.repo(repo).info())?),
        }
    }
}

fn main() -> Outcome<()> {
    let hub = Hub::of_environment()?;
    let model = || Repo::model("me/rust".to_owned());
    match env::args().nth(1).as_deref() {
        Some("get") => {
            for (path, content) in [
                ("config.json", "{}"),
                ("empty", ""),
                ("sub/a+b.txt", "odd"),
                ("sub/\u{fc}.txt", "odd"),
            ] {
                assert_eq!(
                    fs::read(hub.get(model(), path)?)?,
                    content.as_bytes(),
                    "{path}"
                );
            }
            assert!(hub.get(model(), "none").is_err());
            let data = Repo::new("me/data".to_owned(), RepoType::Dataset);
            assert_eq!(fs::read(hub.get(data, "config.json")?)?, b"{}");
        }
        Some("info") => {
            let found = hub.info(model())?;
            let names: Vec<&str> = found
                .siblings
                .iter()
                .map(|one| one.rfilename.as_str())
                .collect();
            assert_eq!(found.sha.len(), 40);
            assert!(names.contains(&"sub/a+b.txt"), "{names:?}");
            let repo = Repo::with_revision("me/rust".to_owned(), RepoType::Model, found.sha);
            assert_eq!(fs::read(hub.get(repo, "config.json")?)?, b"{}");
        }
        // Prints where the file is, and an error when it is cut.
        Some("fetch") => println!(
            "{}",
            hub.get(Repo::model("me/cut".to_owned()), "large.bin")?
                .display()
        ),
        other => return Err(format!("no row {other:?}").into()),
    }
    Ok(())
}
