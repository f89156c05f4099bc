import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatMagnet } from '@filbert/gnutella';
import type { Download } from '../../../services/transfers/src/download/download.ts';
import type { SourceFacts } from '../../../services/transfers/src/download/source.ts';
import { waitFor } from '../../support/wait-for.ts';
import { sendRange, startRawServer } from '../raw-http.ts';
import { cleanUp, finishedFiles, partFiles, requestFor, startWorker, type Worker } from '../worker.ts';

const MIB = 1024 * 1024;

function at(port: number): SourceFacts {
  return { address: { host: '127.0.0.1', port }, serventGuid: undefined, index: 0, firewalled: false };
}

function completed(download: Download): Promise<true> {
  return waitFor(`the download, which is ${download.state}`, () => download.state === 'completed' || undefined, 15_000);
}

function blameOf(download: Download, source: SourceFacts): string | undefined {
  for (const one of download.sources()) if (one.facts.address?.port === source.address?.port) return one.blame;
  return undefined;
}

describe('transfers: downloads', () => {
  afterEach(cleanUp);

  it('fetches a file byte for byte and leaves no unfinished file behind', async () => {
    const content = randomBytes(10 * MIB + 123);
    const serving = await startWorker();
    const fetching = await startWorker();
    const file = serving.library.add('a song.mp3', content);
    const { download, created } = await fetching.transfers.downloads.add(requestFor(file, [serving.source]));
    assert.ok(created);
    await completed(download);
    assert.equal(download.path, join(fetching.downloads, 'a song.mp3'));
    assert.ok(readFileSync(download.path).equals(content));
    assert.deepEqual(partFiles(fetching), []);
    assert.equal(serving.transfers.counters.uploadedBytes, content.length);
    assert.equal(fetching.transfers.counters.downloadsCompleted, 1);
    assert.equal(download.bytesPerSecond, 0, 'no rate is left over');
    const { requestTook, uploadFirstByte } = serving.transfers.counters;
    await waitFor('the last request to end', () => requestTook.file.count === uploadFirstByte.count);
    assert.ok(uploadFirstByte.count > 0);
    assert.ok(uploadFirstByte.sum > 0 && uploadFirstByte.sum <= requestTook.file.sum);
    assert.equal(fetching.transfers.counters.downloadFirstByte.count, uploadFirstByte.count);
    assert.equal(requestTook.other.count, 0);
  });

  it('is the finished one where its file is still there, and begins anew where it is not', async () => {
    const content = randomBytes(100_000);
    const serving = await startWorker();
    const fetching = await startWorker();
    const request = requestFor(serving.library.add('kept.bin', content), [serving.source]);
    const { download } = await fetching.transfers.downloads.add(request);
    await completed(download);
    const again = await fetching.transfers.downloads.add({ ...request, sources: [] });
    assert.deepEqual([again.download, again.created], [download, false]);
    assert.equal(serving.transfers.counters.uploadedBytes, content.length);
    for (const change of ['of another size', 'gone']) {
      if (change === 'gone') rmSync(download.path);
      else writeFileSync(download.path, 'cut');
      const anew = await fetching.transfers.downloads.add(request);
      assert.ok(anew.created, change);
      await completed(anew.download);
      const { path } = anew.download;
      assert.ok(readFileSync(path).equals(content));
      await fetching.transfers.downloads.cancel(anew.download.id);
      rmSync(path);
    }
  });

  it('fetches by magnet alone: the size from the source, the name from the link', async () => {
    const content = randomBytes(100_000);
    const serving = await startWorker();
    const fetching = await startWorker();
    const { sha1 } = serving.library.add('x', content);
    const source = `http://127.0.0.1:${serving.port}/uri-res/N2R?urn:sha1:anything`;
    const target = formatMagnet({ sha1, name: 'named.bin', exactSources: [source], acceptableSources: [] });
    const { download } = await fetching.transfers.downloads.add({ target, sources: [], name: '', sizeBytes: 0 });
    await completed(download);
    assert.deepEqual([...finishedFiles(fetching)], [['named.bin', content]]);
    assert.equal(download.sizeBytes, content.length);
  });

  it('fetches an empty file', async () => {
    const serving = await startWorker();
    const fetching = await startWorker();
    const file = serving.library.add('empty', Buffer.alloc(0));
    const { download } = await fetching.transfers.downloads.add(requestFor(file, [serving.source]));
    await completed(download);
    assert.equal(readFileSync(download.path).length, 0);
  });

  it('fetches from several sources at once, each byte once', async () => {
    const content = randomBytes(24 * MIB);
    const workers = [await startWorker(), await startWorker(), await startWorker()];
    const fetching = await startWorker();
    const [file] = workers.map((worker) => worker.library.add('big', content));
    assert.ok(file !== undefined);
    const sources = workers.map(({ source }) => source);
    const { download } = await fetching.transfers.downloads.add(requestFor(file, sources));
    await completed(download);
    assert.ok(readFileSync(download.path).equals(content));
    const served = workers.map(({ transfers }) => transfers.counters.uploadedBytes);
    assert.equal(
      served.reduce((sum, bytes) => sum + bytes, 0),
      content.length,
    );
    assert.ok(
      served.every((bytes) => bytes > 0),
      `served ${served.join(', ')}`,
    );
  });

  it('goes on after a restart without fetching again what was checkpointed', async () => {
    const content = randomBytes(16 * MIB);
    const serving = await startWorker({ uploadRate: 16 * MIB });
    const file = serving.library.add('big', content);
    const first = await startWorker();
    const { download } = await first.transfers.downloads.add(requestFor(file, [serving.source]));
    await waitFor('some bytes', () => download.doneBytes > 6 * MIB || undefined);
    await first.stop();
    const servedBefore = serving.transfers.counters.uploadedBytes;
    const second = await startWorker({ data: first.data });
    const [resumed] = second.transfers.downloads.all();
    assert.ok(resumed !== undefined && resumed.id === download.id);
    assert.ok(resumed.doneBytes >= 6 * MIB, `only ${resumed.doneBytes} are remembered`);
    const owed = content.length - resumed.doneBytes;
    await completed(resumed);
    assert.ok(readFileSync(resumed.path).equals(content));
    assert.equal(second.transfers.counters.downloadedBytes, owed);
    assert.ok(serving.transfers.counters.uploadedBytes - servedBefore <= owed + MIB);
  });

  it('pauses, goes on when told, and cancels without a trace', async () => {
    const content = randomBytes(8 * MIB);
    const serving = await startWorker({ uploadRate: 8 * MIB });
    const fetching = await startWorker();
    const { downloads } = fetching.transfers;
    const file = serving.library.add('big', content);
    const { download } = await downloads.add(requestFor(file, [serving.source]));
    await waitFor('some bytes', () => download.doneBytes > MIB || undefined);
    await downloads.pause(download.id);
    assert.equal(download.state, 'paused');
    assert.equal(partFiles(fetching).length, 1);
    const done = download.doneBytes;
    downloads.resume(download.id);
    await waitFor('more bytes', () => download.doneBytes > done || undefined);
    await downloads.cancel(download.id);
    assert.deepEqual(partFiles(fetching), []);
    assert.deepEqual(downloads.all(), []);
  });

  it('is not begun again by who resumes it while it is being cancelled', async () => {
    const serving = await startWorker({ uploadRate: MIB });
    const fetching = await startWorker();
    const { downloads } = fetching.transfers;
    const file = serving.library.add('big', randomBytes(8 * MIB));
    const { download } = await downloads.add(requestFor(file, [serving.source]));
    await waitFor('some bytes', () => download.doneBytes > 0 || undefined);
    const cancelled = downloads.cancel(download.id);
    downloads.resume(download.id);
    await cancelled;
    assert.equal(download.state, 'cancelled');
    const again = await downloads.add(requestFor(file, []));
    assert.notEqual(again.download, download);
    await downloads.cancel(again.download.id);
    assert.deepEqual(partFiles(fetching), []);
  });

  it('asks nobody whom a magnet link names and peers could not be', async () => {
    const fetching = await startWorker({ allowPrivate: false });
    const server = await startRawServer(() => undefined);
    const target = `magnet:?xt=urn:sha1:${'A'.repeat(32)}&xs=http://127.0.0.1:${server.port}/uri-res/N2R?urn:sha1:${'A'.repeat(32)}`;
    const { download } = await fetching.transfers.downloads.add({ target, sources: [], name: 'x', sizeBytes: 0 });
    await waitFor('the wait', () => download.state === 'waiting' || undefined);
    assert.deepEqual([...download.sources()], []);
    assert.equal(server.connections, 0);
  });

  it('stays paused over a restart', async () => {
    const fetching = await startWorker();
    const target = `urn:sha1:${'A'.repeat(32)}`;
    const { download } = await fetching.transfers.downloads.add({ target, sources: [], name: 'n', sizeBytes: 5 });
    await fetching.transfers.downloads.pause(download.id);
    await fetching.stop();
    const again = await startWorker({ data: fetching.data });
    assert.equal(again.transfers.downloads.get(download.id).state, 'paused');
  });

  it('says that no source is known, and begins when one is given', async () => {
    const content = randomBytes(1_000);
    const serving = await startWorker();
    const fetching = await startWorker();
    const file = serving.library.add('late', content);
    const { download } = await fetching.transfers.downloads.add(requestFor(file, []));
    await waitFor('the reason', () => download.reason === 'no source is known' || undefined);
    assert.equal(download.state, 'waiting');
    const again = await fetching.transfers.downloads.add(requestFor(file, [serving.source]));
    assert.equal(again.created, false);
    await completed(download);
  });

  it('takes up a file that got its name just before the process died', async () => {
    const content = randomBytes(50_000);
    const serving = await startWorker();
    const file = serving.library.add('done', content);
    const first = await startWorker();
    const { download } = await first.transfers.downloads.add(requestFor(file, [serving.source]));
    await completed(download);
    await first.stop();
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(join(first.data, 'transfers.sqlite'));
    database.exec("UPDATE downloads SET state = 'active'");
    database.close();
    const second = await startWorker({ data: first.data });
    await completed(second.transfers.downloads.get(download.id));
    assert.equal(second.transfers.counters.downloadedBytes, 0);
    assert.deepEqual([...finishedFiles(second).keys()], ['done']);
  });

  describe('names', () => {
    it('replaces no file of that name', async () => {
      const serving = await startWorker();
      const fetching = await startWorker();
      for (const text of ['one', 'two', 'three']) {
        const file = serving.library.add(text, Buffer.from(text));
        const { download } = await fetching.transfers.downloads.add({
          ...requestFor(file, [serving.source]),
          name: 'n.txt',
        });
        await completed(download);
      }
      const found = [...finishedFiles(fetching)].map(([name, content]) => [name, content.toString()]).sort();
      assert.deepEqual(found, [
        ['n (1).txt', 'two'],
        ['n (2).txt', 'three'],
        ['n.txt', 'one'],
      ]);
    });

    it('writes nothing outside the downloads folder, whatever name is asked for', async () => {
      const serving = await startWorker();
      const fetching = await startWorker();
      const names = [
        '../../escape',
        '/etc/passwd',
        '..',
        'a\0b',
        '\\\\host\\share',
        'CON',
        `${'x'.repeat(400)}.mp3`,
        '\u202egpj.exe',
      ];
      for (const [i, name] of names.entries()) {
        const file = serving.library.add(`f${i}`, Buffer.from(`content ${i}`));
        const { download } = await fetching.transfers.downloads.add({ ...requestFor(file, [serving.source]), name });
        await completed(download);
        assert.ok(
          download.path.startsWith(`${fetching.downloads}/`) &&
            !download.path.slice(fetching.downloads.length + 1).includes('/'),
        );
        assert.equal(readFileSync(download.path, 'utf8'), `content ${i}`);
      }
      assert.equal(finishedFiles(fetching).size, names.length);
    });

    it('follows no link that stands where its unfinished file belongs', async () => {
      const serving = await startWorker();
      const fetching = await startWorker();
      const file = serving.library.add('linked', Buffer.from('bytes'));
      const before = await fetching.transfers.downloads.add(requestFor(file, []));
      await waitFor('the part file', () => existsSync(join(fetching.downloads, 'incomplete')) || undefined);
      const [part] = partFiles(fetching);
      await fetching.transfers.downloads.cancel(before.download.id);
      const victim = join(fetching.data, 'victim');
      writeFileSync(victim, 'precious');
      symlinkSync(victim, join(fetching.downloads, 'incomplete', part ?? ''));
      const { download } = await fetching.transfers.downloads.add(requestFor(file, [serving.source]));
      await waitFor('the refusal', () => download.state === 'failed' || undefined);
      assert.equal(readFileSync(victim, 'utf8'), 'precious');
    });
  });

  describe('sources that misbehave', () => {
    const content = randomBytes(200_000);

    async function fetchDespite(
      bad: SourceFacts,
      options: { readonly sizeBytes?: number } = {},
    ): Promise<{ download: Download; fetching: Worker; good: Worker }> {
      const good = await startWorker();
      const fetching = await startWorker({ timings: { headMs: 300, stallMs: 300, connectMs: 300 } });
      const file = good.library.add('wanted.bin', content);
      const request = { ...requestFor(file, [bad]), ...options };
      const { download } = await fetching.transfers.downloads.add(request);
      await waitFor('the blame', () => blameOf(download, bad));
      assert.equal(download.state === 'completed', false);
      await fetching.transfers.downloads.add(requestFor(file, [good.source]));
      await completed(download);
      assert.ok(readFileSync(download.path).equals(content));
      return { download, fetching, good };
    }

    type Answer = Parameters<typeof startRawServer>[0];
    const wrongTotal: Answer = ({ first, last }, socket) => {
      socket.write(
        `HTTP/1.1 206 OK\r\nContent-Range: bytes ${first}-${last}/999999\r\nContent-Length: ${last - first + 1}\r\n\r\n`,
      );
    };
    const cases: readonly (readonly [what: string, blame: string, answer: Answer])[] = [
      ['close at once', 'closed-early', (_, socket) => socket.end()],
      ['close in the middle of the head', 'closed-early', (_, socket) => socket.end('HTTP/1.1 206 Par')],
      ['reset', 'closed-early', (_, socket) => socket.resetAndDestroy()],
      ['say nothing', 'timed-out', () => undefined],
      ['drip their head', 'timed-out', (_, socket) => socket.write('HTTP/1.1 206 OK\r\nX: ')],
      [
        'hang in the middle of the body',
        'stalled',
        (request, socket) => {
          socket.write(
            `HTTP/1.1 206 OK\r\nContent-Range: bytes ${request.first}-199999/200000\r\nContent-Length: 200000\r\n\r\n`,
          );
        },
      ],
      ['say another size', 'wrong-size', wrongTotal],
      [
        'send another range',
        'wrong-range',
        (_, socket) =>
          socket.write('HTTP/1.1 206 OK\r\nContent-Range: bytes 7-8/200000\r\nContent-Length: 200000\r\n\r\n'),
      ],
      [
        'send no range',
        'wrong-range',
        (_, socket) => socket.write('HTTP/1.1 206 OK\r\nContent-Length: 200000\r\n\r\n'),
      ],
      [
        'send a length that does not fit',
        'wrong-range',
        (_, socket) =>
          socket.write('HTTP/1.1 206 OK\r\nContent-Range: bytes 0-10/200000\r\nContent-Length: 12\r\n\r\n'),
      ],
      [
        'send a web page',
        'html',
        (_, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello'),
      ],
      ['speak no HTTP', 'bad-response', (_, socket) => socket.write('SSH-2.0-x\r\n\r\n')],
      [
        'send a head without end',
        'bad-response',
        (_, socket) => socket.write(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(5_000)}`),
      ],
      ['send control characters', 'bad-response', (_, socket) => socket.write('HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n')],
      [
        'send chunks',
        'bad-response',
        (_, socket) => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
      ],
      ['send a body without length', 'bad-response', (_, socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n')],
      [
        'name another file',
        'wrong-urn',
        (request, socket) =>
          sendRange(content, request, socket, `X-Gnutella-Content-URN: urn:sha1:${'A'.repeat(32)}\r\n`),
      ],
      [
        'do not have it',
        'not-found',
        (_, socket) => socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'),
      ],
      ['forbid it', 'forbidden', (_, socket) => socket.write('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n')],
      ['are broken', 'bad-status', (_, socket) => socket.write('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n')],
      ['redirect', 'bad-status', (_, socket) => socket.write('HTTP/1.1 302 No\r\nLocation: http://127.0.0.1/\r\n\r\n')],
    ];
    for (const [what, blame, answer] of cases) {
      it(`are blamed ${blame} when they ${what}, and others complete the file`, async () => {
        const bad = await startRawServer(answer);
        const { fetching, download } = await fetchDespite(at(bad.port));
        assert.ok(
          fetching.transfers.counters.blames[blame as 'html'] > 0,
          JSON.stringify(fetching.transfers.counters.blames),
        );
        assert.equal(fetching.transfers.counters.hashMismatches, 0);
        const [first] = download.sources();
        assert.equal(first?.bytes, 0);
      });
    }

    it('are blamed when nobody listens', async () => {
      const { fetching } = await fetchDespite(at(1));
      assert.ok(fetching.transfers.counters.blames.unreachable > 0);
    });

    it('lose their stretch when they drip it, and what they dripped is kept', async () => {
      const dripping: Answer = ({ first }, socket) => {
        socket.write(
          `HTTP/1.1 206 OK\r\nContent-Range: bytes ${first}-199999/200000\r\nContent-Length: ${200_000 - first}\r\n\r\n`,
        );
        let at = first;
        const drip = setInterval(() => socket.write(content.subarray(at, ++at)), 50);
        socket.once('close', () => clearInterval(drip));
      };
      const bad = await startRawServer(dripping);
      const { fetching, download, good } = await fetchDespite(at(bad.port));
      assert.equal(fetching.transfers.counters.blames.stalled, 1);
      const [first] = download.sources();
      assert.ok(first !== undefined && first.bytes > 0, 'a byte came before the stall time was over');
      assert.equal(first.bytes + good.transfers.counters.uploadedBytes, content.length);
    });

    it('are not blamed for the time in which our own rate held them back', async () => {
      const good = await startWorker();
      const fetching = await startWorker({ timings: { stallMs: 200 }, downloadRate: 100_000 });
      const { download } = await fetching.transfers.downloads.add(
        requestFor(good.library.add('wanted.bin', content), [good.source]),
      );
      await completed(download);
      assert.ok(Object.values(fetching.transfers.counters.blames).every((times) => times === 0));
    });

    it('have what arrived before they closed kept', async () => {
      const half: Answer = (request, socket) => {
        socket.write(
          `HTTP/1.1 206 OK\r\nContent-Range: bytes ${request.first}-199999/200000\r\nContent-Length: ${200_000 - request.first}\r\n\r\n`,
        );
        socket.end(content.subarray(request.first, request.first + 50_000));
      };
      const bad = await startRawServer(half);
      const good = await startWorker();
      const fetching = await startWorker({ timings: { restFactor: 1 } });
      const file = good.library.add('wanted.bin', content);
      const { download } = await fetching.transfers.downloads.add(requestFor(file, [at(bad.port)]));
      await waitFor('the blame', () => blameOf(download, at(bad.port)) === 'closed-early' || undefined);
      await fetching.transfers.downloads.add(requestFor(file, [good.source]));
      await completed(download);
      assert.equal(fetching.transfers.counters.downloadedBytes, content.length);
      assert.equal(good.transfers.counters.uploadedBytes, 150_000);
    });

    it('that sent wrong bytes alone are found by the hash and never asked again', async () => {
      const wrong = randomBytes(content.length);
      const bad = await startRawServer((request, socket) => sendRange(wrong, request, socket));
      const { download, fetching } = await fetchDespite(at(bad.port));
      assert.equal(blameOf(download, at(bad.port)), 'wrong-hash');
      assert.equal(bad.requests.length, 1);
      assert.equal(fetching.transfers.counters.discardedBytes, content.length);
      assert.equal(fetching.transfers.counters.hashMismatches, 1);
    });

    it('that sent wrong bytes among others are found by asking one at a time', async () => {
      const big = randomBytes(9 * MIB);
      const wrong = Buffer.from(big);
      wrong.fill(0, 0, 10);
      wrong.fill(0, big.length - 10);
      const good = await startWorker();
      const fetching = await startWorker();
      const file = good.library.add('big', big);
      const bad = await startRawServer((request, socket) => sendRange(wrong, request, socket));
      const { download } = await fetching.transfers.downloads.add(requestFor(file, [at(bad.port), good.source]));
      await completed(download);
      assert.ok(readFileSync(download.path).equals(big));
      assert.ok(fetching.transfers.counters.hashMismatches >= 1);
    });

    it('that told a wrong size first are found out, and the true one is taken', async () => {
      const bad = await startRawServer(wrongTotal);
      const { download } = await fetchDespite(at(bad.port), { sizeBytes: 0 });
      assert.equal(download.sizeBytes, content.length);
    });

    it('that say that there is nothing are given up where the size is not known', async () => {
      const empty = await startRawServer((_, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
      const { download, fetching } = await fetchDespite(at(empty.port), { sizeBytes: 0 });
      assert.equal(blameOf(download, at(empty.port)), 'wrong-size');
      assert.equal(empty.requests.length, 1);
      assert.equal(fetching.transfers.counters.hashMismatches, 0);
    });

    it('that tell no size are not fetched from until another did', async () => {
      const mute = await startRawServer((request, socket) => {
        const end = Math.min(request.last + 1, content.length);
        socket.write(
          `HTTP/1.1 206 OK\r\nContent-Range: bytes ${request.first}-${end - 1}/*\r\nContent-Length: ${end - request.first}\r\n\r\n`,
        );
        socket.write(content.subarray(request.first, end));
      });
      const { download, fetching } = await fetchDespite(at(mute.port), { sizeBytes: 0 });
      assert.equal(blameOf(download, at(mute.port)), 'wrong-range');
      assert.equal(fetching.transfers.counters.downloadedBytes, content.length);
    });

    for (const [how, headers] of [
      ['PARQ', 'Retry-After: 0\r\nX-Queued: position=1; ID=abc\r\n'],
      ['old', 'X-Queue: position=1,pollMin=0,pollMax=0\r\n'],
    ] as const) {
      it(`that queue us for no time at all (${how}) are polled no faster than every 2 s`, async () => {
        const times: number[] = [];
        const busy = await startRawServer((request, socket) => {
          times.push(performance.now());
          if (times.length > 1) sendRange(content, request, socket);
          else socket.write(`HTTP/1.1 503 Queued\r\n${headers}Content-Length: 0\r\n\r\n`);
        });
        const good = await startWorker();
        const fetching = await startWorker();
        const file = good.library.add('wanted.bin', content);
        const { download } = await fetching.transfers.downloads.add(requestFor(file, [at(busy.port)]));
        await completed(download);
        assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 1_990);
      });
    }

    it('that end their connection after each stretch do not undo each other, once asked one at a time', async () => {
      const big = randomBytes(13 * MIB);
      const wrong = Buffer.from(big);
      wrong.fill(0, 0, 10);
      wrong.fill(0, big.length - 10);
      const closing =
        (bytes: Buffer): Answer =>
        (request, socket) => {
          sendRange(bytes, request, socket, 'Connection: close\r\n');
          socket.end();
        };
      const good = [await startRawServer(closing(big)), await startRawServer(closing(big))];
      const bad = await startRawServer(closing(wrong));
      const fetching = await startWorker();
      const file = (await startWorker()).library.add('big', big);
      const sources = [bad, ...good].map(({ port }) => at(port));
      const { download } = await fetching.transfers.downloads.add(requestFor(file, sources));
      await waitFor('the file', () => download.state === 'completed' || undefined, 20_000);
      assert.ok(readFileSync(download.path).equals(big));
      // Whole files thrown away: the first, and at most the liar's own.
      assert.ok(fetching.transfers.counters.discardedBytes <= 3 * big.length);
    });

    it('are asked again no sooner than they say', async () => {
      const times: number[] = [];
      const busy = await startRawServer((request, socket) => {
        times.push(performance.now());
        if (times.length > 1) sendRange(content, request, socket);
        else socket.end('HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n');
      });
      const good = await startWorker();
      const fetching = await startWorker();
      const file = good.library.add('wanted.bin', content);
      const { download } = await fetching.transfers.downloads.add(requestFor(file, [at(busy.port)]));
      await waitFor('the wait', () => download.state === 'waiting' || undefined);
      assert.match(download.reason, /busy/);
      await completed(download);
      assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 1_990);
    });
  });
});
