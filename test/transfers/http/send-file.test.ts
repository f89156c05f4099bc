import assert from 'node:assert/strict';
import { MAX_PIECE_BYTES, MIN_PIECE_BYTES, nextPieceBytes } from '../../../services/transfers/src/http/send-file.ts';
import { FAIR_SHARE_MS } from '../../../services/transfers/src/slots/upload-slots.ts';
import { isTooSlow, LEAST_SHARED_RATE } from '../../../services/transfers/src/http/file-uploads.ts';
import { SEND_STALL_MS } from '../../../services/transfers/src/http/http-session.ts';

describe('transfers: pieces of an upload', () => {
  /** Sizes of the pieces that a peer gets which takes so many bytes in a second. */
  function piecesAt(bytesPerSecond: number, count: number): number[] {
    const pieces: number[] = [];
    for (let next = MIN_PIECE_BYTES; pieces.length < count;) {
      pieces.push(next);
      next = nextPieceBytes(next, (1_000 * next) / bytesPerSecond);
    }
    return pieces;
  }

  it('grow to the largest for a peer that takes them quickly', () => {
    assert.equal(piecesAt(10_000_000, 6).at(-1), MAX_PIECE_BYTES);
    assert.ok(piecesAt(100_000, 20).every((bytes) => bytes <= MAX_PIECE_BYTES));
  });

  it('stay so small that a modem, and slower, takes each well before it counts as stalled', () => {
    for (const bytesPerSecond of [300, 1_000, 5_000, 20_000]) {
      const longestMs = (1_000 * Math.max(...piecesAt(bytesPerSecond, 50))) / bytesPerSecond;
      assert.ok(longestMs < SEND_STALL_MS / 2, `${bytesPerSecond} bytes/s: ${longestMs} ms`);
    }
  });

  it('shrink again for a peer that becomes slow', () => {
    let bytes = MAX_PIECE_BYTES;
    for (let i = 0; i < 10; i++) bytes = nextPieceBytes(bytes, 30_000);
    assert.equal(bytes, MIN_PIECE_BYTES);
  });

  it('end where a peer takes next to nothing for longer than its share while others wait', () => {
    const longS = FAIR_SHARE_MS / 1_000 + 1;
    assert.ok(isTooSlow(longS * LEAST_SHARED_RATE - 1, longS, 1));
    assert.ok(!isTooSlow(longS * LEAST_SHARED_RATE, longS, 1), 'quick enough');
    assert.ok(!isTooSlow(0, longS, 0), 'nobody waits');
    assert.ok(!isTooSlow(0, longS - 2, 1), 'its share is not over');
  });
});
