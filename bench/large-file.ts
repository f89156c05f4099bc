import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  LARGE_FILE_BYTES,
  LARGE_FILE_SHA1,
  largeFileBytes,
  requireFreeSpace,
  writeLargeFile,
} from '../test/support/large-file.ts';
import { NodeProcess, runFilbert, stopAllNodes } from '../test/support/node-process.ts';
import { peakResidentBytes } from '../test/support/process-tree.ts';
import { waitFor } from '../test/support/wait-for.ts';

/**
 * `npm run bench:large-file`: shares a file of 5 GiB on one node, fetches all of it with another over loopback and a
 * range beyond 4 GiB with curl, and prints times and the most memory that each node took. With `--processes` both nodes run
 * as processes, and every byte goes through the hand-over from the Gnutella port to a transfers process. See bench/README.md.
 */

const MIB = 1024 * 1024;
const NAME = 'wide plateau survey.iso';
const HASHING_MS = 600_000;
const LOOK_MS = 200;
const DOWNLOAD_MS = 1_800_000;
const CURL_BYTES = 100_000;

async function main(folder: string, processes: boolean): Promise<void> {
  const share = join(folder, 'share');
  mkdirSync(share);
  writeLargeFile(join(share, NAME));
  const sharer = await NodeProcess.start({ processes, args: ['--share', share] });
  const seeker = await NodeProcess.start({ processes, args: ['--connect', sharer.address] });
  const startedAt = performance.now();
  const isHashed = async (): Promise<boolean> => (await sharer.metric('filbert_search_index_shared_files')) === 1;
  await waitFor('the hash', isHashed, HASHING_MS, LOOK_MS);
  const hashedMs = performance.now() - startedAt;

  const source = `http://${sharer.address}/uri-res/N2R?urn:sha1:${LARGE_FILE_SHA1}`;
  const last = 2 ** 32 + CURL_BYTES - 1;
  const ranged = execFileSync('curl', ['-sS', '-f', '-r', `${2 ** 32}-${last}`, source], { maxBuffer: 2 * MIB });
  if (!ranged.equals(largeFileBytes(2 ** 32, last + 1))) throw new Error('curl got other bytes');

  const begunAt = performance.now();
  const fetched = await runFilbert(
    ['download', `magnet:?xt=urn:sha1:${LARGE_FILE_SHA1}&xs=${source}`, '--data', seeker.dataDir],
    { timeoutMs: DOWNLOAD_MS },
  );
  if (fetched.code !== 0) throw new Error(fetched.stderr);
  const seconds = (performance.now() - begunAt) / 1_000;
  console.log(`hashed in ${(hashedMs / 1_000).toFixed(1)} s after the start of both nodes`);
  console.log(`curl: the range bytes=${2 ** 32}-${last} is right`);
  const rate = LARGE_FILE_BYTES / MIB / seconds;
  console.log(`fetched and checked in ${seconds.toFixed(1)} s, ${rate.toFixed(0)} MiB/s; the SHA-1 is right`);
  for (const [who, node] of [
    ['sharer', sharer],
    ['seeker', seeker],
  ] as const) {
    const peaks = [node.pid, ...node.descendants().map(({ pid }) => pid)].map(peakResidentBytes);
    const ofLargest = peaks.length === 1 ? '' : ', its largest process';
    console.log(`${who}: ${Math.round(Math.max(...peaks) / MIB)} MiB resident at most${ofLargest}`);
  }
}

const { values } = parseArgs({ options: { processes: { type: 'boolean', default: false } } });
requireFreeSpace(tmpdir(), LARGE_FILE_BYTES + 300 * MIB);
const folder = mkdtempSync(join(tmpdir(), 'filbert-large-'));
try {
  await main(folder, values.processes);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  await stopAllNodes();
  rmSync(folder, { recursive: true, force: true });
}
