#!/usr/bin/env node
// Pushes a folder, trains a prompt, watches the job and classifies images.
// Needs Node.js 18 and `npm install`. The stubs are made from ../../../proto.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs, promisify } = require('node:util');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

// Where proto/ is when this file does not stand in promptd's sources.
const PROTO = process.env.PROMPTD_PROTO ||
  path.resolve(__dirname, '../../../proto');
const CHUNK = 1 << 20; // of an upload, at most
const SPLITS = { train: 'SPLIT_TRAIN', val: 'SPLIT_VAL', test: 'SPLIT_TEST' };
const IMAGE = /\.(jpe?g|png|webp)$/i;

function connect(server) {
  const definition = loader.loadSync(
    ['dataset', 'training', 'classify'].map((n) => `promptd/v1/${n}.proto`),
    { includeDirs: [PROTO], keepCase: true, enums: String, longs: Number,
      oneofs: true, defaults: true });
  const api = grpc.loadPackageDefinition(definition).promptd.v1;
  const credentials = grpc.credentials.createInsecure();
  return {
    datasets: new api.DatasetService(server, credentials),
    training: new api.TrainingService(server, credentials),
    classify: new api.ClassifyService(server, credentials),
  };
}

// A unary call as a promise.
const call = (client, method, request) =>
  promisify(client[method]).call(client, request);

// Resolves when a stream has ended; each of its messages goes to `take`.
const drain = (stream, take) => new Promise((resolve, reject) => {
  stream.on('data', take);
  stream.on('end', resolve);
  stream.on('error', reject);
});

// Class names and items {path, data, digest, class_index, split}.
function readFolder(folder) {
  const items = [];
  for (const split of Object.keys(SPLITS)) {
    const base = path.join(folder, split);
    if (!fs.existsSync(base)) continue;
    for (const name of fs.readdirSync(base).sort()) {
      for (const file of fs.readdirSync(path.join(base, name)).sort()) {
        if (!IMAGE.test(file)) continue;
        const data = fs.readFileSync(path.join(base, name, file));
        const digest = crypto.createHash('sha256').update(data).digest('hex');
        items.push({ path: `${split}/${name}/${file}`, data, digest, name,
          split: SPLITS[split] });
      }
    }
  }
  const names = [...new Set(items.map((item) => item.name))].sort();
  if (names.length === 0) {
    throw new Error(`${folder} has no images in train/CLASS/ or test/CLASS/`);
  }
  for (const item of items) item.class_index = names.indexOf(item.name);
  return { names, items };
}

// Uploads what the server lacks and makes the dataset visible.
async function push(clients, name, { names, items }) {
  const manifest = clients.datasets.PushDataset();
  const missing = [];
  let pushId;
  const answered = drain(manifest, (reply) => {
    if (reply.missing_digest) missing.push(reply.missing_digest);
    if (reply.result) pushId = reply.result.push_id;
  });
  manifest.write({ header: { name, class_names: names,
    item_count: items.length } });
  for (const { path: file, digest, class_index, split } of items) {
    manifest.write({ item: { path: file, digest, class_index, split } });
  }
  manifest.end();
  await answered;

  if (missing.length > 0) {
    const data = new Map(items.map((item) => [item.digest, item.data]));
    const reply = await new Promise((resolve, reject) => {
      const upload = clients.datasets.UploadImages((error, value) =>
        error ? reject(error) : resolve(value));
      for (const digest of missing) {
        const bytes = data.get(digest);
        for (let at = 0; at < bytes.length; at += CHUNK) {
          upload.write({ push_id: pushId,
            chunk: bytes.subarray(at, at + CHUNK),
            last: at + CHUNK >= bytes.length });
        }
      }
      upload.end();
    });
    for (const rejected of reply.rejected) {
      throw new Error(`refused: ${rejected.message}`);
    }
  }
  await call(clients.datasets, 'CommitDataset', { push_id: pushId });
  console.log(`pushed ${name}: ${items.length} images, ` +
    `${missing.length} of them new`);
}

// Trains and prints the job's events; the number of the new version.
async function train(clients, task, dataset, shots, epochs) {
  const spec = { task, dataset, shots, ...(epochs && { epochs }) };
  const { id } = await call(clients.training, 'CreateTrainingJob', { spec });
  await drain(clients.training.WatchTrainingJob({ id }), ({ progress }) => {
    if (!progress) return;
    const percent = Math.round(100 * progress.fraction);
    console.log(`job ${id}: ${progress.phase}, ${percent} %`);
  });
  const job = await call(clients.training, 'GetTrainingJob', { id });
  if (job.state !== 'JOB_STATE_SUCCEEDED') {
    throw new Error(`job ${id} failed: ${job.error_message}`);
  }
  const percent = (share) => (100 * share).toFixed(1);
  console.log(`version ${job.version}: ${percent(job.result.accuracy)} % of ` +
    `the test images, zero-shot ${percent(job.result.zero_shot_accuracy)} %`);
  return job.version;
}

async function main() {
  const { values } = parseArgs({ options: {
    server: { type: 'string', default: '127.0.0.1:7080' },
    task: { type: 'string' },
    folder: { type: 'string' },
    image: { type: 'string', multiple: true },
    shots: { type: 'string', default: '16' },
    epochs: { type: 'string' },
  } });
  for (const name of ['task', 'folder', 'image']) {
    if (!values[name]) throw new Error(`--${name} is required`);
  }
  const clients = connect(values.server);
  await push(clients, values.task, readFolder(values.folder));
  const version = await train(clients, values.task, values.task,
    Number(values.shots), values.epochs && Number(values.epochs));
  const reply = await call(clients.classify, 'Classify', {
    task: values.task, version, top_k: 1,
    images: values.image.map((file) => fs.readFileSync(file)) });
  reply.results.forEach((result, i) => {
    const best = result.scores[0];
    console.log(`${values.image[i]}: ` + (result.error_reason
      ? result.error_message
      : `${best.class_name} ${(100 * best.probability).toFixed(1)} %`));
  });
  for (const client of Object.values(clients)) client.close();
}

main().catch((error) => {
  console.error(error.details || error.message);
  process.exitCode = 1;
});
