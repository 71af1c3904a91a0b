# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Rows for huggingface_hub, run by its own interpreter: python_rows.py ROW. Prints a note; 3 says that the version cannot do it."""

import hashlib
import io
import json
import os
import struct
import sys

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, HfFileSystem, snapshot_download

API = HfApi()
README = "README.md"

# Larger than what clients send within a commit where a server lets them choose.
LARGE = os.urandom(12 << 20)


def needs(name, holder=API):
    if not hasattr(holder, name):
        print(f"no {name}")
        sys.exit(3)


def files(repository, **more):
    return sorted(API.list_repo_files(repository, **more))


def content(repository, path, **more):
    with open(API.hf_hub_download(repository, path, **more), "rb") as file:
        return file.read()


def is_same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r:.300} is not {expected!r:.300}")


def fails(kind, call, *words, **more):
    try:
        call(*words, **more)
    except Exception as error:
        names = [one.__name__ for one in type(error).__mro__]
        if kind in names:
            return
        raise
    raise AssertionError(f"no {kind}")


def account():
    who = API.whoami()
    is_same((who["type"], who["name"]), ("user", "clients"))
    fails("HTTPError", HfApi(token="hf_wrong").whoami)
    if hasattr(API, "auth_check"):
        API.create_repo("me/mine", exist_ok=True)
        API.auth_check("me/mine")
        fails("RepositoryNotFoundError", API.auth_check, "me/none")


def create():
    for kind in ("model", "dataset", "space"):
        more = {"repo_type": kind, **({"space_sdk": "static"} if kind == "space" else {})}
        is_same(API.create_repo("me/new", **more).repo_id, "me/new")
        is_same(API.create_repo("me/new", exist_ok=True, **more).repo_id, "me/new")
        fails("HTTPError", API.create_repo, "me/new", **more)
        API.upload_file(path_or_fileobj=b"x", path_in_repo="a/x.txt", repo_id="me/new", repo_type=kind)
        is_same(content("me/new", "a/x.txt", repo_type=kind), b"x")
        API.delete_repo("me/new", repo_type=kind)
        fails("RepositoryNotFoundError", API.delete_repo, "me/new", repo_type=kind)
        API.delete_repo("me/new", repo_type=kind, missing_ok=True)


def commits():
    API.create_repo("me/c")
    API.upload_file(path_or_fileobj=b"one", path_in_repo="sub dir/a#1+%.txt", repo_id="me/c")
    before = API.repo_info("me/c").sha
    add = [CommitOperationAdd("large.bin", io.BytesIO(LARGE)), CommitOperationAdd("empty", b""), CommitOperationAdd("b.txt", b"two"),
           CommitOperationDelete("sub dir/a#1+%.txt")]
    done = API.create_commit("me/c", add, commit_message="four", commit_description="at once", parent_commit=before)
    is_same(done.oid, API.repo_info("me/c").sha)
    is_same(files("me/c"), ["b.txt", "empty", "large.bin"])
    is_same(content("me/c", "large.bin") == LARGE, True)
    is_same(content("me/c", "empty"), b"")
    fails("HTTPError", API.create_commit, "me/c", [CommitOperationAdd("c", b"c")], commit_message="late", parent_commit=before)
    is_same(API.list_repo_commits("me/c")[0].commit_id, done.oid)
    is_same(content("me/c", "sub dir/a#1+%.txt", revision=before), b"one")


def folder():
    os.makedirs("folder/sub dir", exist_ok=True)
    for name, bytes_of_it in [(README, b"---\nlicense: mit\n---\n# folder\n"), ("large.bin", LARGE), ("empty", b""),
                              ("sub dir/\u00fc a+b #1?.txt", b"odd"), ("keep.log", b"not sent")]:
        with open(f"folder/{name}", "wb") as file:
            file.write(bytes_of_it)
    API.create_repo("me/f")
    API.upload_folder(folder_path="folder", repo_id="me/f", path_in_repo="in", ignore_patterns="*.log")
    names = [f"in/{README}", "in/empty", "in/large.bin", "in/sub dir/\u00fc a+b #1?.txt"]
    is_same(files("me/f"), names)
    is_same(content("me/f", names[-1]), b"odd")
    API.upload_folder(folder_path="folder/sub dir", repo_id="me/f", path_in_repo="in", delete_patterns="*.bin")
    is_same(files("me/f"), [f"in/{README}", "in/empty", "in/sub dir/\u00fc a+b #1?.txt", "in/\u00fc a+b #1?.txt"])
    found = snapshot_download("me/f", allow_patterns="*.txt", local_dir="down")
    is_same(sorted(name for name in os.listdir(f"{found}/in")), ["sub dir", "\u00fc a+b #1?.txt"])


def large_folder():
    needs("upload_large_folder")
    os.makedirs("many/deep", exist_ok=True)
    for number in range(60):
        with open(f"many/deep/{number}.json", "w", encoding="ascii") as file:
            json.dump({"number": number}, file)
    for number in range(3):
        with open(f"many/{number}.bin", "wb") as file:
            file.write(LARGE + bytes([number]))
    for _ in range(2):
        API.upload_large_folder(repo_id="me/many", folder_path="many", repo_type="model", print_report=False)
    is_same(len(files("me/many")), 63)
    is_same(content("me/many", "2.bin") == LARGE + b"\x02", True)
    is_same(json.loads(content("me/many", "deep/59.json")), {"number": 59})
    print(f"{len(API.list_repo_commits('me/many'))} commits told")


def filesystem():
    API.create_repo("me/fs")
    API.upload_file(path_or_fileobj=LARGE, path_in_repo="sub/large.bin", repo_id="me/fs")
    remote = HfFileSystem()
    is_same(remote.ls("me/fs", detail=False), ["me/fs/sub"])
    is_same(remote.find("me/fs"), ["me/fs/sub/large.bin"])
    is_same(remote.info("me/fs/sub/large.bin")["size"], len(LARGE))
    is_same(remote.exists("me/fs/none"), False)
    with remote.open("me/fs/sub/large.bin", "rb") as file:
        file.seek(7_000_000)
        is_same(file.read(1000), LARGE[7_000_000:7_001_000])
        file.seek(-10, 2)
        is_same(file.read(), LARGE[-10:])
    with remote.open("me/fs/new/written.txt", "w") as file:
        file.write("from the file system")
    with remote.open("me/fs/new/large.bin", "wb") as file:
        file.write(LARGE[::-1])
    remote.invalidate_cache()
    is_same(remote.cat("me/fs/new/written.txt"), b"from the file system")
    is_same(content("me/fs", "new/large.bin") == LARGE[::-1], True)
    is_same(sorted(remote.glob("me/fs/**/*.bin")), ["me/fs/new/large.bin", "me/fs/sub/large.bin"])
    remote.cp_file("me/fs/sub/large.bin", "me/fs/sub/copy.bin")
    remote.mv("me/fs/sub/copy.bin", "me/fs/moved.bin")
    remote.rm("me/fs/new/written.txt")
    remote.rm("me/fs/sub", recursive=True)
    is_same(files("me/fs"), ["moved.bin", "new/large.bin"])


def references():
    API.create_repo("me/r")
    API.upload_file(path_or_fileobj=b"one", path_in_repo="a.txt", repo_id="me/r")
    API.create_branch("me/r", branch="feat/x")
    API.create_branch("me/r", branch="feat/x", exist_ok=True)
    fails("HTTPError", API.create_branch, "me/r", branch="feat/x")
    API.create_tag("me/r", tag="v1.0", tag_message="first")
    fails("HTTPError", API.create_tag, "me/r", tag="v1.0")
    API.create_commit("me/r", [CommitOperationAdd("large.bin", LARGE), CommitOperationDelete("a.txt")], commit_message="on a branch",
                      revision="feat/x")
    API.upload_file(path_or_fileobj=b"new", path_in_repo="a.txt", repo_id="me/r")
    is_same([files("me/r"), files("me/r", revision="feat/x")], [["a.txt"], ["large.bin"]])
    is_same([content("me/r", "a.txt", revision="v1.0"), content("me/r", "a.txt")], [b"one", b"new"])
    found = snapshot_download("me/r", revision="feat/x")
    is_same(os.listdir(found), ["large.bin"])
    references_of_it = API.list_repo_refs("me/r")
    is_same([one.name for one in references_of_it.branches + references_of_it.tags], ["main", "feat/x", "v1.0"])
    is_same(HfFileSystem().ls("me/r@feat%2Fx", detail=False), ["me/r@feat%2Fx/large.bin"])
    API.create_branch("me/r", branch="again", revision="v1.0")
    API.delete_branch("me/r", branch="feat/x")
    API.delete_tag("me/r", tag="v1.0")
    for revision in ("feat/x", "v1.0"):
        fails("RevisionNotFoundError", API.repo_info, "me/r", revision=revision)
    fails("HTTPError", API.delete_branch, "me/r", branch="feat/x")


def removal():
    add = [CommitOperationAdd(path, path.encode()) for path in ("a", "b", "sub/c", "sub/deep/d", "e.txt", "f.txt")]
    API.create_repo("me/d")
    API.create_commit("me/d", add, commit_message="six")
    API.delete_file("a", "me/d")
    API.delete_folder("sub", "me/d")
    is_same(files("me/d"), ["b", "e.txt", "f.txt"])
    fails("EntryNotFoundError", API.delete_file, "none", "me/d")
    if hasattr(API, "delete_files"):
        API.delete_files("me/d", ["*.txt"])
        is_same(files("me/d"), ["b"])
    fails("EntryNotFoundError", API.hf_hub_download, "me/d", "a")
    is_same(API.file_exists("me/d", "b"), True)
    is_same(API.file_exists("me/d", "a"), False)


def copy():
    API.create_repo("me/cp")
    API.create_commit("me/cp", [CommitOperationAdd("small.txt", b"small"), CommitOperationAdd("large.bin", LARGE)], commit_message="two")
    API.create_branch("me/cp", branch="old")
    API.create_commit("me/cp", [CommitOperationCopy("large.bin", "copies/large.bin"), CommitOperationCopy("small.txt", "copies/small.txt"),
                                CommitOperationDelete("small.txt")], commit_message="copy")
    is_same(files("me/cp"), ["copies/large.bin", "copies/small.txt", "large.bin"])
    is_same([content("me/cp", "copies/small.txt"), content("me/cp", "copies/large.bin") == LARGE], [b"small", True])
    API.create_commit("me/cp", [CommitOperationCopy("small.txt", "back.txt", src_revision="old")], commit_message="from a branch")
    is_same(content("me/cp", "back.txt"), b"small")
    fails("EntryNotFoundError", API.create_commit, "me/cp", [CommitOperationCopy("none", "there")], commit_message="none")
    if hasattr(API, "copy_files"):
        # Not between repositories: there it wants digests of xet, which a server does not tell that is read without xet.
        API.copy_files("hf://me/cp/copies/small.txt", "hf://me/cp/again.txt")
        is_same(content("me/cp", "again.txt"), b"small")


def move():
    API.create_repo("me/m")
    API.upload_file(path_or_fileobj=LARGE, path_in_repo="large.bin", repo_id="me/m")
    API.create_tag("me/m", tag="v1")
    API.move_repo("me/m", "we/m2")
    is_same([API.repo_exists("me/m"), files("we/m2"), files("we/m2", revision="v1")], [False, ["large.bin"], ["large.bin"]])
    API.create_repo("me/m3")
    fails("HTTPError", API.move_repo, "we/m2", "me/m3")
    fails("RepositoryNotFoundError", API.move_repo, "me/none", "me/m4")


def lists():
    for name in ("list-a", "list-b", "other"):
        API.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=API.create_repo(f"lists/{name}").repo_id)
    API.create_repo("lists/data", repo_type="dataset")
    API.create_repo("lists/space", repo_type="space", space_sdk="static")
    is_same(sorted(one.id for one in API.list_models(author="lists")), ["lists/list-a", "lists/list-b", "lists/other"])
    is_same(sorted(one.id for one in API.list_models(search="list-")), ["lists/list-a", "lists/list-b"])
    is_same(len(list(API.list_models(limit=2))), 2)
    is_same([one.id for one in API.list_datasets(author="lists")], ["lists/data"])
    is_same([one.id for one in API.list_spaces(author="lists")], ["lists/space"])
    is_same([one.rfilename for one in API.model_info("lists/other", files_metadata=True).siblings], ["config.json"])
    is_same([one.path for one in API.get_paths_info("lists/other", ["config.json", "none"])], ["config.json"])
    is_same([one.path for one in API.list_repo_tree("lists/other", expand=True)], ["config.json"])


def metadata():
    head = json.dumps({"weight": {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [0, 4_000_000]}}).encode()
    API.create_repo("me/s")
    API.upload_file(path_or_fileobj=struct.pack("<Q", len(head)) + head + os.urandom(4_000_000), path_in_repo="model.safetensors",
                    repo_id="me/s")
    found = API.get_safetensors_metadata("me/s")
    is_same(found.parameter_count, {"F32": 1_000_000})
    is_same(list(found.weight_map), ["weight"])


def settings():
    needs("update_repo_settings")
    API.create_repo("me/set")
    fails("HTTPError", API.update_repo_settings, "me/set", gated="auto")
    visibility = {"visibility": "private"} if "visibility" in API.update_repo_settings.__code__.co_varnames else {"private": True}
    API.update_repo_settings("me/set", **visibility)
    is_same(API.repo_exists("me/set"), True)


def background():
    API.create_repo("me/bg")
    several = [API.run_as_future(API.upload_file, path_or_fileobj=LARGE[number:], path_in_repo=f"{number}.bin", repo_id="me/bg")
               for number in range(3)]
    for one in several:
        one.result()
    is_same(files("me/bg"), ["0.bin", "1.bin", "2.bin"])


def ahead():
    """What goes up before its commit, as training programs do."""
    operations = [CommitOperationAdd(f"{number}.bin", LARGE[: (11 << 20) + number]) for number in range(2)]
    API.create_repo("me/pre")
    for one in operations:
        API.preupload_lfs_files("me/pre", [one])
    is_same(files("me/pre"), [])
    API.create_commit("me/pre", operations, commit_message="both")
    is_same(content("me/pre", "1.bin") == LARGE[: (11 << 20) + 1], True)


def snapshot():
    API.create_repo("me/snap")
    small = [CommitOperationAdd(f"sub/{number}.txt", b"%d" % number) for number in range(20)]
    API.create_commit("me/snap", [*small, CommitOperationAdd("large.bin", LARGE)], commit_message="all")
    snapshot_again()


def snapshot_again():
    """The caller counts what it costs when everything is here."""
    found = snapshot_download("me/snap")
    is_same(len(os.listdir(f"{found}/sub")), 20)
    is_same(os.path.getsize(f"{found}/large.bin"), len(LARGE))


def branch_for_cli():
    API.create_branch("me/cli", branch="dev")


def verified():
    snapshot_download("me/verify")


def fetch():
    """What the caller cuts: prints the digest of what is here at the end."""
    print(hashlib.sha256(content("me/cut", "large.bin")).hexdigest())


ROWS = {name: call for name, call in list(globals().items()) if callable(call) and getattr(call, "__module__", "") == "__main__"}

if __name__ == "__main__":
    ROWS[sys.argv[1]]()
