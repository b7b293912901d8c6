// Train in a browser's runtime, onnxruntime-web: node train.mjs FOLDER EPOCHS, after npm install onnxruntime-web.
//
// The folder has the three graphs of dlarray.onnx.export_training, and the examples as numbers only: x.f32 and
// target.i32. In a page, fetch takes the place of readFileSync.

import { readFileSync } from "node:fs";
import { InferenceSession, Tensor, env } from "onnxruntime-web";

const BATCH = 32;
const [folder, epochs] = [process.argv[2], Number(process.argv[3])];
env.wasm.numThreads = 1;

const open = (name) => InferenceSession.create(new Uint8Array(readFileSync(`${folder}/${name}.onnx`)));
const [initial, step, predict] = [await open("initial"), await open("step"), await open("predict")];
const numbers = (kind, name) => new kind(new Uint8Array(readFileSync(`${folder}/${name}`)).buffer);
const [x, target] = [numbers(Float32Array, "x.f32"), numbers(Int32Array, "target.i32")];
const n = target.length;
const features = x.length / n;
const batchOf = (i, j) => ({
  x: new Tensor("float32", x.subarray(i * features, j * features), [j - i, features]),
  target: new Tensor("int32", target.subarray(i, j), [j - i]),
});

let state = await initial.run({});
const names = Object.keys(state);
const start = performance.now();
for (let epoch = 1; epoch <= epochs; epoch++) {
  const losses = [];
  for (let i = 0; i < n; i += BATCH) {
    const after = await step.run({ ...state, ...batchOf(i, Math.min(i + BATCH, n)) });
    state = Object.fromEntries(names.map((name) => [name, after[`next.${name}`]]));
    losses.push(after.loss.data[0]);
  }
  console.log(`epoch ${epoch}: loss ${(losses.reduce((a, b) => a + b) / losses.length).toFixed(6)}`);
}
const steps = epochs * Math.ceil(n / BATCH);
console.log(`${((performance.now() - start) / steps).toFixed(3)} ms a step`);

const weights = Object.fromEntries(predict.inputNames.filter((name) => name !== "x").map((name) => [name, state[name]]));
const { label } = await predict.run({ ...weights, x: batchOf(0, n).x });
const right = label.data.reduce((count, found, i) => count + (found === target[i] ? 1 : 0), 0);
console.log(`accuracy: ${(right / n).toFixed(4)}`);
