import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { formatSha1Urn } from '@filbert/gnutella';
import { Bandwidth } from '../../../services/transfers/src/http/bandwidth.ts';
import { waitFor } from '../../support/wait-for.ts';
import { RawHttp } from '../raw-http.ts';
import { cleanUp, startWorker } from '../worker.ts';

describe('transfers: a rate that all transfers share', () => {
  afterEach(cleanUp);

  it('is booked in order, saved up for a quarter of a second, and given back by who goes away', () => {
    let nowMs = 0;
    const bandwidth = new Bandwidth(1_000, () => nowMs);
    assert.equal(bandwidth.book(100), 100);
    assert.equal(bandwidth.book(400), 500);
    bandwidth.giveBack(400);
    assert.equal(bandwidth.book(50), 150);
    nowMs = 60_000;
    assert.equal(bandwidth.book(250), 0);
    assert.equal(bandwidth.book(10), 10);
  });

  it('is not waited for where there is none', () => {
    const bandwidth = new Bandwidth(0, () => 0);
    bandwidth.giveBack(1_000);
    assert.equal(bandwidth.book(1_000_000_000), 0);
  });

  it('is not used up by clients that ask for a file and go away', async () => {
    const worker = await startWorker({ uploadRate: 100_000, uploadSlots: 4 });
    const request = (range: string): string =>
      `GET /uri-res/N2R?${urn} HTTP/1.1\r\nHost: x\r\nRange: bytes=${range}\r\n\r\n`;
    const urn = formatSha1Urn(worker.library.add('x', randomBytes(1_000_000)).sha1);
    const { uploads } = worker.transfers;
    for (let i = 0; i < 60; i++) {
      const socket = connect(worker.port, '127.0.0.1').on('error', () => undefined);
      socket.write(request('0-999999'));
      await waitFor('the upload', () => uploads.uploads.size > 0 || undefined);
      socket.resetAndDestroy();
      await waitFor('its end', () => uploads.uploads.size === 0 || undefined);
    }
    const begunMs = performance.now();
    const client = await RawHttp.connect(worker.port);
    assert.equal((await client.ask(request('0-9999'))).status, 206);
    const tookMs = performance.now() - begunMs;
    // Each of the others had booked the rate of 80 ms or more.
    assert.ok(tookMs < 2_000, `it took ${tookMs} ms`);
  });
});
