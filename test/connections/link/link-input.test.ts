import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { constants, createDeflate } from 'node:zlib';
import type { FrameFault } from '@filbert/gnutella';
import { LinkInput } from '../../../services/connections/src/link/link-input.ts';
import {
  CALM_PRESSURE,
  FULL_READ_BYTES,
  LIGHT_BYTES,
  READ_SLICE_MS,
  ReadTurns,
} from '../../../services/connections/src/link/read-turns.ts';
import { socketPair, turns } from '../../support/frame-bench.ts';
import { encodeFrame, randomGuid } from '../../support/raw-wire.ts';
import { waitFor } from '../../support/wait-for.ts';

const QRP = 0x30;
const QUERY = 0x80;

function frame(descriptor: number, payload = 10): Buffer {
  return encodeFrame({ guid: randomGuid(), descriptor, ttl: 1, hops: 0, payload: Buffer.alloc(payload) });
}

interface InputState {
  frames: number;
  fault: FrameFault | undefined;
  broken: string;
  finished: boolean;
}

describe('connections link input', () => {
  let now = 0;
  let pressure = 0;
  let turnsOfReading: ReadTurns;
  const sockets: Socket[] = [];

  beforeEach(() => {
    now = 0;
    pressure = 0;
    turnsOfReading = new ReadTurns(
      () => pressure,
      () => now,
    );
  });
  afterEach(() => {
    turnsOfReading.stop();
    for (const socket of sockets.splice(0)) socket.destroy();
  });

  /** One link's input over a loopback socket; each frame costs so many ms to work on. */
  async function open(options: { costMs?: number; inflate?: boolean; onFrame?: () => void } = {}) {
    const { near, far } = await socketPair();
    sockets.push(near, far);
    far.on('error', () => undefined);
    const state: InputState = { frames: 0, fault: undefined, broken: '', finished: false };
    const input = new LinkInput({
      socket: near,
      inflate: options.inflate ?? false,
      sflag: false,
      turns: turnsOfReading,
      sink: {
        frame: () => {
          state.frames++;
          now += options.costMs ?? 0;
          options.onFrame?.();
        },
      },
      onFault: (fault) => (state.fault = fault),
      onBroken: (reason) => (state.broken = reason),
    });
    near.on('data', (chunk: Buffer) => input.push(chunk));
    near.on('close', () => input.finish(() => (state.finished = true)));
    return { input, near, far, state };
  }

  it('works on one link for no longer than its slice, and on the rest in later turns', async () => {
    const { input, near, state } = await open({ costMs: READ_SLICE_MS });
    input.push(Buffer.concat(Array.from({ length: 3 }, () => frame(QRP))));
    assert.equal(state.frames, 1, 'the first frame used its slice up');
    assert.ok(near.isPaused(), 'and nothing is read meanwhile');
    await turns(1);
    assert.equal(state.frames, 2);
    await turns(1);
    assert.equal(state.frames, 3);
    await waitFor('the socket to be read again', () => !near.isPaused());
    assert.equal(turnsOfReading.waiting, 0);
  });

  it('looks at the clock between frames of other kinds too, only not at each', async () => {
    const { input, state } = await open({ costMs: READ_SLICE_MS });
    input.push(Buffer.concat(Array.from({ length: 100 }, () => frame(QUERY))));
    assert.ok(state.frames >= 2 && state.frames < 100, `${state.frames} frames in one slice`);
    await waitFor('the rest', () => state.frames === 100);
  });

  it('lets another link in between the slices of one that sends what is costly', async () => {
    const count = 20_000;
    let before = 0;
    const costly = await open({ costMs: READ_SLICE_MS });
    const light = await open({ onFrame: () => (before = costly.state.frames) });
    costly.input.push(Buffer.concat(Array.from({ length: count }, () => frame(QRP))));
    light.far.write(frame(QUERY));
    await waitFor('the costly link', () => costly.state.frames === count, 10_000);
    assert.equal(light.state.frames, 1);
    assert.ok(before > 0 && before < count, `${before} of ${count} frames came first`);
  });

  it('waits a turn after a full read, and hands on everything in order', async () => {
    const { far, state } = await open();
    const one = frame(QUERY, 1000);
    const count = 1000;
    far.write(Buffer.concat(Array.from({ length: count }, () => one)));
    await waitFor('all frames', () => state.frames === count, 5000);
    assert.ok(turnsOfReading.waits > 0 || count * one.length < FULL_READ_BYTES);
    assert.equal(turnsOfReading.waiting, 0);
  });

  it('does not read who sends much while shards are behind; who sends little is read', async () => {
    pressure = CALM_PRESSURE;
    const much = await open();
    const little = await open();
    const one = frame(QUERY, 1000);
    const first = Math.ceil((LIGHT_BYTES + 1) / one.length);
    much.input.push(Buffer.concat(Array.from({ length: first }, () => one)));
    assert.equal(much.state.frames, first);
    much.far.write(one);
    for (let i = 0; i < 5; i++) little.far.write(one);
    await waitFor('who sends little', () => little.state.frames === 5);
    assert.equal(much.state.frames, first);
    assert.ok(much.near.isPaused());
    pressure = 0;
    await waitFor('who sends much', () => much.state.frames === first + 1);
  });

  it('pauses an inflated link in the same way, and loses nothing of it', async () => {
    const { far, state } = await open({ costMs: READ_SLICE_MS, inflate: true });
    const deflate = createDeflate({ flush: constants.Z_SYNC_FLUSH });
    deflate.on('data', (chunk: Buffer) => far.write(chunk));
    for (let i = 0; i < 40; i++) deflate.write(frame(QRP, 2000));
    await waitFor('all frames', () => state.frames === 40, 5000);
    assert.ok(turnsOfReading.waits >= 30, `waited ${turnsOfReading.waits} times`);
  });

  it('hands on what still waits when the socket closes, before it says so', async () => {
    const { far, input, state } = await open({ costMs: READ_SLICE_MS });
    input.push(Buffer.concat(Array.from({ length: 20 }, () => frame(QRP))));
    far.end();
    await waitFor('the end', () => state.finished);
    assert.equal(state.frames, 20);
    assert.equal(turnsOfReading.waiting, 0);
  });

  it('hands on nothing once it is closed, and throws away what comes', async () => {
    const { input, far, near, state } = await open({ costMs: READ_SLICE_MS });
    input.push(Buffer.concat(Array.from({ length: 5 }, () => frame(QRP))));
    input.close();
    far.end(frame(QUERY));
    await waitFor('the close', () => near.destroyed);
    assert.equal(state.frames, 1);
    assert.equal(turnsOfReading.waiting, 0);
  });

  it('tells a fault behind the frames before it, also where these came in several slices', async () => {
    const { input, state } = await open({ costMs: READ_SLICE_MS });
    const tooLong = frame(QUERY).subarray(0, 23);
    tooLong.writeUInt32LE(1025, 19);
    input.push(Buffer.concat([frame(QRP), frame(QRP), tooLong]));
    assert.equal(state.frames, 1);
    const fault = await waitFor('the fault', () => state.fault);
    assert.deepEqual([state.frames, fault.reason], [2, 'too-large']);
  });
});
