// SPDX-License-Identifier: Apache-2.0 OR MIT
// Rows for @huggingface/hub: node rows.mjs ROW, in a folder of its own.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import * as hub from "@huggingface/hub";

const common = { hubUrl: process.env.HF_ENDPOINT, accessToken: process.env.HF_TOKEN };
const LARGE = randomBytes(20 << 20);

const collect = async (entries) => {
  const found = [];
  for await (const entry of entries) found.push(entry);
  return found;
};
const files = async (repo, more) => {
  const found = await collect(hub.listFiles({ repo, recursive: true, ...more, ...common }));
  return found.filter((one) => one.type === "file").map((one) => one.path).sort();
};
const content = async (repo, path, more) => {
  const blob = await hub.downloadFile({ repo, path, ...more, ...common });
  return Buffer.from(await blob.arrayBuffer());
};

const rows = {
  async account() {
    const who = await hub.whoAmI(common);
    assert.deepEqual([who.type, who.name], ["user", "clients"]);
    await assert.rejects(hub.whoAmI({ ...common, accessToken: "hf_wrong" }));
  },

  async upload() {
    const repo = "me/js";
    await hub.createRepo({ repo, ...common });
    await hub.uploadFiles({
      repo,
      files: [
        { path: "config.json", content: new Blob(["{}"]) },
        { path: "sub dir/a+b.txt", content: new Blob(["odd"]) },
        { path: "empty", content: new Blob([]) },
        { path: "large.bin", content: new Blob([LARGE]) },
      ],
      ...common,
    });
    assert.deepEqual(await files(repo), ["config.json", "empty", "large.bin", "sub dir/a+b.txt"]);
    assert.equal(LARGE.compare(await content(repo, "large.bin")), 0);
    assert.equal((await content(repo, "sub dir/a+b.txt")).toString(), "odd");
    assert.equal((await content(repo, "empty")).length, 0);
    await hub.uploadFile({ repo, file: { path: "large.bin", content: new Blob([LARGE.subarray(1)]) }, ...common });
    assert.equal(LARGE.subarray(1).compare(await content(repo, "large.bin")), 0);
  },

  async upload_by_xet() {
    const repo = { type: "dataset", name: "me/jsx" };
    await hub.createRepo({ repo, ...common });
    await hub.uploadFiles({ repo, files: [{ path: "large.bin", content: new Blob([LARGE]) }], useXet: true, ...common });
    assert.equal(LARGE.compare(await content(repo, "large.bin")), 0);
  },

  async reading() {
    const repo = "me/read";
    await hub.createRepo({ repo, ...common });
    const added = await hub.commit({
      repo,
      title: "three",
      operations: [
        { operation: "addOrUpdate", path: "config.json", content: new Blob(["{}"]) },
        { operation: "addOrUpdate", path: "sub/large.bin", content: new Blob([LARGE]) },
        { operation: "addOrUpdate", path: "sub/empty", content: new Blob([]) },
      ],
      ...common,
    });
    const found = await hub.modelInfo({ name: repo, additionalFields: ["sha", "siblings"], ...common });
    assert.equal(found.sha, added.commit.oid);
    assert.equal(await hub.fileExists({ repo, path: "config.json", ...common }), true);
    assert.equal(await hub.fileExists({ repo, path: "none", ...common }), false);
    assert.equal(await hub.downloadFile({ repo, path: "none", ...common }), null);
    assert.equal((await hub.fileDownloadInfo({ repo, path: "sub/large.bin", ...common })).size, LARGE.length);
    const blob = await hub.downloadFile({ repo, path: "sub/large.bin", ...common });
    const part = Buffer.from(await blob.slice(7_000_000, 7_000_100).arrayBuffer());
    assert.equal(part.compare(LARGE.subarray(7_000_000, 7_000_100)), 0);
    assert.deepEqual((await hub.pathsInfo({ repo, paths: ["config.json", "none"], ...common })).map((one) => one.path), ["config.json"]);
    const folder = await hub.snapshotDownload({ repo, cacheDir: join(process.cwd(), "cache"), ...common });
    assert.deepEqual((await readdir(join(folder, "sub"))).sort(), ["empty", "large.bin"]);
    const bytes = await readFile(await realpath(join(folder, "sub", "large.bin")));
    assert.equal(bytes.compare(LARGE), 0);
    assert.equal((await collect(hub.listCommits({ repo, ...common })))[0].oid, added.commit.oid);
    assert.ok((await collect(hub.listModels({ search: { owner: "me" }, ...common }))).some((one) => one.name === repo));
    await assert.rejects(hub.modelInfo({ name: "me/none", ...common }));
  },

  async changing() {
    const repo = "me/change";
    await hub.createRepo({ repo, ...common });
    await assert.rejects(hub.createRepo({ repo, ...common }));
    const add = ["a", "b", "sub/c"].map((path) => ({ path, content: new Blob([path]) }));
    await hub.uploadFiles({ repo, files: add, ...common });
    await hub.deleteFile({ repo, path: "a", ...common });
    await hub.deleteFiles({ repo, paths: ["sub/c"], ...common });
    assert.deepEqual(await files(repo), ["b"]);
    await hub.createBranch({ repo, branch: "feat/x", ...common });
    await hub.uploadFile({ repo, branch: "feat/x", file: { path: "d", content: new Blob(["d"]) }, ...common });
    assert.deepEqual([await files(repo), await files(repo, { revision: "feat/x" })], [["b"], ["b", "d"]]);
    assert.equal((await content(repo, "d", { revision: "feat/x" })).toString(), "d");
    await hub.deleteBranch({ repo, branch: "feat/x", ...common });
    await hub.deleteRepo({ repo, ...common });
    assert.equal(await hub.repoExists({ repo, ...common }), false);
  },

  async safetensors() {
    const head = Buffer.from(JSON.stringify({ w: { dtype: "F32", shape: [10, 10], data_offsets: [0, 400] } }));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(head.length));
    await hub.createRepo({ repo: "me/st", ...common });
    const file = { path: "model.safetensors", content: new Blob([size, head, Buffer.alloc(400)]) };
    await hub.uploadFile({ repo: "me/st", file, ...common });
    const found = await hub.parseSafetensorsMetadata({ repo: "me/st", ...common });
    assert.deepEqual(found.header.w.shape, [10, 10]);
  },
};

await rows[process.argv[2]]();
