// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The genuine Python clients of the hub, of two generations, over TLS and in the clear.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::process::{noise, run};
use crate::support::served::Served;
use crate::support::stand_in::{StandIn, large, small};

/// What a script of a client prints.
pub(super) fn python(server: &Served, version: &str, script: &str) -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let packages = target.join("interop/huggingface_hub").join(version);
    let home = server.place.path(&format!("hf-{version}"));
    let certificate = server.place.home().join("server.crt");
    let mut command = Command::new("python3");
    command
        .args(["-c", script])
        .current_dir(server.place.path(""))
        .env("PYTHONPATH", packages)
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", format!("{}/hf", server.url))
        .env("HF_TOKEN", server.password())
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1");
    if server.url.starts_with("https:") {
        command
            .env("SSL_CERT_FILE", &certificate)
            .env("REQUESTS_CA_BUNDLE", &certificate);
    }
    run(&mut command).exits(0).text()
}

const READING: &str = r#"
import os
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

print(open(hf_hub_download("me/tiny", "config.json")).read())
print(os.path.getsize(hf_hub_download("me/tiny", "empty.txt")))
print(open(hf_hub_download("me/tiny", "sub/a+b c#1.txt")).read())
folder = snapshot_download("me/tiny")
assert folder == snapshot_download("me/tiny")
print(sorted(os.listdir(folder)), os.path.basename(folder))
print(sorted(os.listdir(snapshot_download("me/data", repo_type="dataset"))))

api = HfApi()
print(api.whoami()["name"], [model.id for model in api.list_models()])
print(sorted(entry.path for entry in api.list_repo_tree("me/tiny", recursive=True)))
print(api.list_repo_commits("me/tiny")[0].commit_id == api.repo_info("me/tiny").sha)
print([one.path for one in api.get_paths_info("me/tiny", ["config.json", "none", "sub"])])
print(api.list_repo_refs("me/tiny").branches[0].name)
print(api.file_exists("me/tiny", "config.json"), api.repo_exists("me/none"), api.revision_exists("me/tiny", "feat/x"))
for path, repository, revision in [("none", "me/tiny", None), ("a", "me/none", None), ("a", "me/tiny", "feat/x")]:
    try:
        hf_hub_download(repository, path, revision=revision)
    except EntryNotFoundError:
        print("entry")
    except RevisionNotFoundError:
        print("revision")
    except RepositoryNotFoundError:
        print("repository")

files = HfFileSystem()
print(sorted(files.ls("me/tiny", detail=False)))
with files.open("me/tiny/sub/large.bin", "rb") as file:
    file.seek(1_000_000)
    print(file.read(4).hex())
"#;

#[test]
#[cfg_attr(not(has_huggingface_hub), ignore = "huggingface_hub is not installed")]
fn clients_of_two_generations_fetch_what_is_here() {
    let large = noise(7, 3_000_000);
    for arguments in [&[][..], &["--plain"]] {
        let server = Served::start(arguments);
        let source = server.place.path("source");
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("config.json"), "{\"hidden_size\": 4}").unwrap();
        fs::write(source.join("empty.txt"), "").unwrap();
        fs::write(source.join("sub/a+b c#1.txt"), "odd").unwrap();
        fs::write(source.join("sub/large.bin"), &large).unwrap();
        let source = source.to_str().unwrap();
        let told = server
            .skep(&["put", source, "--name", "me/tiny", "--json"])
            .exits(0)
            .json();
        server
            .skep(&["put", source, "--name", "datasets/me/data"])
            .exits(0);

        let commit = told["folders"][0]["revision"].as_str().unwrap();
        let part: String = large[1_000_000..1_000_004]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let expected = format!(
            "{{\"hidden_size\": 4}}\n0\nodd\n['config.json', 'empty.txt', 'sub'] {commit}\n\
             ['config.json', 'empty.txt', 'sub']\nowner ['me/tiny']\n\
             ['config.json', 'empty.txt', 'sub', 'sub/a+b c#1.txt', 'sub/large.bin']\nTrue\n\
             ['config.json', 'sub']\nmain\nTrue False False\nentry\nrepository\nrevision\n\
             ['me/tiny/config.json', 'me/tiny/empty.txt', 'me/tiny/sub']\n{part}\n"
        );
        for version in ["0.36", "newest"] {
            let printed = python(&server, version, READING);
            assert_eq!(printed, expected, "{version} {arguments:?}");
        }
    }
}

const SENDING: &str = r##"
import os
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

api = HfApi()
print(api.create_repo("me/up").repo_id, api.create_repo("me/up", exist_ok=True).repo_id)
api.upload_file(path_or_fileobj=b"one", path_in_repo="sub dir/a#1.txt", repo_id="me/up")
with open(os.path.join("source", "README.md"), "w") as file:
    file.write("---\nlicense: mit\n---\n# up\n")
with open("source/large.bin", "wb") as file:
    file.write(bytes(range(256)) * 40_000)
api.upload_folder(folder_path="source", repo_id="me/up", delete_patterns="none/*")
print(api.create_repo("me/up", exist_ok=True).repo_id, sorted(api.list_repo_files("me/up")))

before = api.repo_info("me/up").sha
done = api.create_commit(
    "me/up",
    [CommitOperationDelete("sub dir/a#1.txt"), CommitOperationAdd("b.txt", b"two"), CommitOperationAdd("empty", b"")],
    commit_message="three changes",
    parent_commit=before,
)
print(done.oid == api.repo_info("me/up").sha, sorted(api.list_repo_files("me/up")))
try:
    api.create_commit("me/up", [CommitOperationAdd("c.txt", b"c")], commit_message="late", parent_commit=before)
except HfHubHTTPError as error:
    print(error.response.status_code)
for operation in [CommitOperationDelete("none.txt"), CommitOperationDelete("none/")]:
    try:
        api.create_commit("me/up", [operation], commit_message="nothing")
    except HfHubHTTPError as error:
        print(error.response.status_code)
api.upload_file(path_or_fileobj=b"x", path_in_repo="data/x.csv", repo_id="me/d", repo_type="dataset")
print(api.list_repo_files("me/d", repo_type="dataset"))
api.delete_file("empty", "me/up")
api.move_repo("me/up", "me/moved")
print(api.repo_exists("me/up"), sorted(api.list_repo_files("me/moved")))
print(len(open(api.hf_hub_download("me/moved", "large.bin"), "rb").read()))
api.delete_repo("me/moved")
print(api.repo_exists("me/moved"), api.delete_repo("me/moved", missing_ok=True))
"##;

#[test]
#[cfg_attr(not(has_huggingface_hub), ignore = "huggingface_hub is not installed")]
fn clients_of_two_generations_send_commits() {
    let expected = "me/up me/up\nme/up ['README.md', 'large.bin', 'sub dir/a#1.txt']\n\
                    True ['README.md', 'b.txt', 'empty', 'large.bin']\n412\n404\n404\n['data/x.csv']\n\
                    False ['README.md', 'b.txt', 'large.bin']\n10240000\nFalse None\n";
    for version in ["0.36", "newest"] {
        let server = Served::start(&[]);
        fs::create_dir(server.place.path("source")).unwrap();
        assert_eq!(python(&server, version, SENDING), expected, "{version}");
    }
}

const BRANCHING: &str = r##"
import os
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

api = HfApi()
api.create_repo("me/b")
print(api.list_repo_files("me/b"), [model.id for model in api.list_models()])
api.create_branch("me/b", branch="early")
api.upload_file(path_or_fileobj=b"one", path_in_repo="a.txt", repo_id="me/b")
api.create_branch("me/b", branch="feat/x")
api.create_branch("me/b", branch="feat/x", exist_ok=True)
api.create_tag("me/b", tag="v1", tag_message="first")
done = api.create_commit(
    "me/b",
    [CommitOperationAdd("b.txt", b"two"), CommitOperationDelete("a.txt")],
    commit_message="on a branch",
    revision="feat/x",
)
api.upload_file(path_or_fileobj=b"new", path_in_repo="a.txt", repo_id="me/b")
print(api.list_repo_files("me/b"), api.list_repo_files("me/b", revision="feat/x"))
print(open(api.hf_hub_download("me/b", "a.txt", revision="v1")).read(), open(api.hf_hub_download("me/b", "a.txt")).read())
print(sorted(os.listdir(snapshot_download("me/b", revision="feat/x"))))
print(os.path.basename(snapshot_download("me/b", revision="feat/x")) == done.oid)
refs = api.list_repo_refs("me/b")
print([one.name for one in refs.branches], [(one.name, one.ref) for one in refs.tags])
print(api.list_repo_commits("me/b", revision="feat/x")[0].commit_id == done.oid)
files = HfFileSystem()
print(len(files.ls("me/b@feat%2Fx")), files.cat("me/b@feat%2Fx/b.txt"))
api.create_branch("me/b", branch="again", revision="v1")
print(api.list_repo_files("me/b", revision="again"))
api.delete_branch("me/b", branch="feat/x")
api.delete_tag("me/b", tag="v1")
for revision in ["feat/x", "v1"]:
    try:
        api.repo_info("me/b", revision=revision)
    except RevisionNotFoundError:
        print("revision")
try:
    api.create_commit("me/b", [CommitOperationAdd("c", b"c")], commit_message="m", revision="none")
except HfHubHTTPError as error:
    print(type(error).__name__)
api.move_repo("me/b", "we/b")
print(api.list_repo_files("we/b", revision="again"))
"##;

#[test]
#[cfg_attr(not(has_huggingface_hub), ignore = "huggingface_hub is not installed")]
fn clients_of_two_generations_make_branches_and_tags() {
    let expected = "[] ['me/b']\n['a.txt'] ['b.txt']\none new\n['b.txt']\nTrue\n\
                    ['main', 'early', 'feat/x'] [('v1', 'refs/tags/v1')]\nTrue\n\
                    1 b'two'\n['a.txt']\nrevision\nrevision\nRevisionNotFoundError\n['a.txt']\n";
    for version in ["0.36", "newest"] {
        let server = Served::start(&[]);
        assert_eq!(python(&server, version, BRANCHING), expected, "{version}");
    }
}

const MIRRORED: &str = r#"
import os
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

place = PLACE
folder = snapshot_download("me/r", cache_dir=place)
print(os.path.basename(folder), sorted(os.listdir(folder)), os.path.getsize(os.path.join(folder, "sub/large.bin")))
print(sorted(os.listdir(snapshot_download("me/d", repo_type="dataset", cache_dir=place))))
print(sorted(HfApi().list_repo_files("me/r")))
for repository, path in [("me/r", "none"), ("me/none", "a"), ("me/gated", "a.txt")]:
    try:
        hf_hub_download(repository, path, cache_dir=place)
    except GatedRepoError:
        print("gated")
    except EntryNotFoundError:
        print("entry")
    except RepositoryNotFoundError:
        print("repository")
"#;

#[test]
#[cfg_attr(not(has_huggingface_hub), ignore = "huggingface_hub is not installed")]
fn clients_of_two_generations_fetch_through_a_mirror_with_and_without_its_upstream() {
    for version in ["0.36", "newest"] {
        let hub = StandIn::start();
        let commit = hub.keep(
            "me/r",
            &[
                small("config.json", "{}"),
                small("empty.txt", ""),
                large("sub/large.bin", noise(8, 3_000_000)),
            ],
        );
        hub.keep("datasets/me/d", &[small("data.csv", "a,b")]);
        hub.keep("me/gated", &[small("a.txt", "a")]);
        hub.conduct().gated.insert("me/gated");
        // Each time, the branch is asked for.
        let arguments = ["--upstream", &hub.hub.url, "--mirror-fresh", "none"];
        let server = Served::start(&arguments);

        let script = |place: &str| MIRRORED.replace("PLACE", &format!("{place:?}"));
        let expected = format!(
            "{commit} ['config.json', 'empty.txt', 'sub'] 3000000\n['data.csv']\n\
             ['config.json', 'empty.txt', 'sub/large.bin']\n"
        );
        let printed = python(&server, version, &script("one"));
        let all = format!("{expected}entry\nrepository\ngated\n");
        assert_eq!(printed, all, "{version}");

        // Another client has all of it while the upstream is away.
        hub.go_down();
        let script = script("two");
        let (script, _) = script.split_once("for repository").unwrap();
        assert_eq!(python(&server, version, script), expected, "{version}");
        assert_eq!(hub.fetched("get "), 1);
    }
}

const COPYING: &str = r##"
import json, os
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi, HfFileSystem

api, large = HfApi(), os.urandom(5_000_000)
api.create_repo("me/c")
api.create_commit("me/c", [CommitOperationAdd("small.txt", b"small"), CommitOperationAdd("large.bin", large)], commit_message="two")
copies = [CommitOperationCopy(name, "copies/" + name) for name in ["small.txt", "large.bin"]]
api.create_commit("me/c", copies, commit_message="copy")
print(api.list_repo_files("me/c"), open(api.hf_hub_download("me/c", "copies/large.bin"), "rb").read() == large)
api.delete_folder("copies", "me/c")

# As programs do that free what they have sent ahead of the commit.
with open("rows.parquet", "wb") as file:
    file.write(b"rows")
ahead = CommitOperationAdd("rows.parquet", "rows.parquet")
api.preupload_lfs_files("me/c", [ahead])
os.remove("rows.parquet")
api.create_commit("me/c", [ahead], commit_message="rows")
print(api.list_repo_files("me/c"), open(api.hf_hub_download("me/c", "rows.parquet")).read())

files = HfFileSystem()
with files.open("me/c/written.txt", "w") as file:
    file.write("written")
files.rm("me/c/rows.parquet")
print(files.cat("me/c/written.txt"), sorted(api.list_repo_files("me/c")))

if hasattr(api, "upload_large_folder"):
    os.makedirs("many")
    for number in range(20):
        with open(f"many/{number}.json", "w") as file:
            json.dump(number, file)
    api.upload_large_folder(repo_id="me/many", folder_path="many", repo_type="model", print_report=False)
    assert len(api.list_repo_files("me/many")) == 20
if hasattr(api, "verify_repo_checksums"):
    found = api.snapshot_download("me/c")
    assert api.verify_repo_checksums("me/c").mismatches == []
    with open(os.path.realpath(found + "/small.txt"), "w") as file:
        file.write("other")
    assert [one["path"] for one in api.verify_repo_checksums("me/c").mismatches] == ["small.txt"]
"##;

#[test]
#[cfg_attr(not(has_huggingface_hub), ignore = "huggingface_hub is not installed")]
fn clients_of_two_generations_copy_and_verify() {
    let expected = "['copies/large.bin', 'copies/small.txt', 'large.bin', 'small.txt'] True\n\
                    ['large.bin', 'rows.parquet', 'small.txt'] rows\n\
                    b'written' ['large.bin', 'small.txt', 'written.txt']\n";
    for version in ["0.36", "newest"] {
        let server = Served::start(&[]);
        assert_eq!(python(&server, version, COPYING), expected, "{version}");
    }
}
