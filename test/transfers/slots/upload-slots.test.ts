import assert from 'node:assert/strict';
import {
  parqRetrySeconds,
  parseLegacyQueue,
  parseQueued,
  queueHeaders,
  queueingOf,
  ticketOf,
} from '../../../services/transfers/src/slots/queue-headers.ts';
import type { Queueing } from '../../../services/transfers/src/slots/queue-place.ts';
import {
  FAIR_SHARE_MS,
  MAX_QUEUED,
  SLOT_HOLD_MS,
  UploadSlots,
  type SlotAnswer,
} from '../../../services/transfers/src/slots/upload-slots.ts';
import { vectorNamed } from '../vectors.ts';

describe('transfers: queue headers', () => {
  it('tell the retry times of the vector', () => {
    for (const [position, seconds] of Object.entries(vectorNamed('parq_retry').expected as Record<string, number>)) {
      assert.equal(parqRetrySeconds(Number(position)), seconds);
    }
  });

  it('are read with odd spaces, cases and unknown fields', () => {
    const { input, expected } = vectorNamed('parq_header');
    const { eta, lifetime, ...rest } = expected as { eta: number; lifetime: number };
    assert.deepEqual(parseQueued(String(input)), { ...rest, etaS: eta, lifetimeS: lifetime });
  });

  it('are nothing without position or ID', () => {
    for (const header of [
      '',
      'position=1',
      'ID=ab',
      'position=x; ID=ab',
      'position=1; ID=',
      `position=1; ID=${'a'.repeat(65)}`,
    ]) {
      assert.equal(parseQueued(header), undefined, header);
    }
  });

  it('of the old kind are read too', () => {
    const { input, expected } = vectorNamed('parq_legacy');
    const { pollMin, pollMax, ...rest } = expected as { pollMin: number; pollMax: number };
    const header = String(input).replace(/^X-Queue: /, '');
    assert.deepEqual(parseLegacyQueue(header), { ...rest, pollMinS: pollMin, pollMaxS: pollMax });
    assert.equal(parseLegacyQueue('0.1'), undefined);
  });

  it('say how a client waits', () => {
    const of = (value: string): Queueing => queueingOf(new Map([['x-queue', value]]));
    assert.deepEqual(
      [of('0.1'), of('1.0'), of('1.1'), of(''), of('position=1')],
      ['legacy', 'parq', 'parq', 'none', 'none'],
    );
    assert.equal(ticketOf(new Map([['x-queued', 'position=3; ID=AB12']])), 'ab12');
  });
});

describe('transfers: upload slots', () => {
  let now = 0;
  let tickets = 0;
  beforeEach(() => {
    now = 0;
    tickets = 0;
  });

  function slotsOf(slots: number, perHost = 3): UploadSlots {
    return new UploadSlots({ slots, perHost, now: () => now, newTicket: () => `ticket${++tickets}` });
  }

  function ask(
    slots: UploadSlots,
    connection: object,
    ip: string,
    more: { queueing?: Queueing; ticket?: string; fileKey?: string; limited?: boolean } = {},
  ): SlotAnswer {
    const { queueing = 'parq', ticket, fileKey = 'f', limited = true } = more;
    return slots.ask({ connection, ip, limited, fileKey, queueing, ticket });
  }

  function place(answer: SlotAnswer): number {
    assert.ok(answer.kind === 'queued', answer.kind);
    return answer.place.position;
  }

  it('are granted while free, and free again a while after the response or at the end of the connection', () => {
    const slots = slotsOf(1);
    const [a, b] = [{}, {}];
    assert.equal(ask(slots, a, '1').kind, 'granted');
    assert.equal(ask(slots, b, '2', { queueing: 'none' }).kind, 'queued');
    slots.done(a);
    assert.equal(slots.free, 0);
    now += SLOT_HOLD_MS;
    assert.equal(slots.free, 1);
    assert.equal(ask(slots, a, '3').kind, 'queued', 'one before it waits');
    slots.closed(a);
  });

  it('stay with a connection that asks again at once', () => {
    const slots = slotsOf(1);
    const a = {};
    ask(slots, a, '1');
    ask(slots, {}, '2');
    slots.done(a);
    now += SLOT_HOLD_MS - 1;
    assert.equal(ask(slots, a, '1', { fileKey: 'another' }).kind, 'granted');
  });

  it('go on to others after a fair share of time', () => {
    const slots = slotsOf(1);
    const a = {};
    ask(slots, a, '1');
    now += FAIR_SHARE_MS;
    slots.done(a);
    assert.equal(ask(slots, a, '1').kind, 'granted', 'nobody waits');
    ask(slots, {}, '2', { queueing: 'parq' });
    slots.done(a);
    assert.equal(place(ask(slots, a, '1')), 2);
  });

  it('go by the order of coming: nobody jumps the queue', () => {
    const slots = slotsOf(1);
    const a = {};
    ask(slots, a, '1');
    assert.equal(place(ask(slots, {}, '2')), 1);
    assert.equal(place(ask(slots, {}, '3')), 2);
    slots.closed(a);
    now += 60_000;
    assert.equal(place(ask(slots, {}, '3', { ticket: 'ticket2' })), 2);
    assert.equal(ask(slots, {}, '2', { ticket: 'ticket1' }).kind, 'granted');
    assert.deepEqual(slots.placesEnded, { served: 1, 'too-early': 0, expired: 0, closed: 0 });
  });

  it('are not to be had with the ticket of another address, but for any file with one’s own', () => {
    const slots = slotsOf(1);
    const a = {};
    ask(slots, a, '1');
    ask(slots, {}, '2');
    slots.closed(a);
    now += 31_000;
    assert.equal(place(ask(slots, {}, '9', { ticket: 'ticket1' })), 2);
    assert.equal(ask(slots, {}, '2', { ticket: 'ticket1', fileKey: 'another' }).kind, 'granted');
  });

  it('are lost by who polls too early, and by who comes too late', () => {
    const slots = slotsOf(1);
    ask(slots, {}, '1');
    const b = {};
    assert.equal(place(ask(slots, b, '2', { queueing: 'legacy' })), 1);
    now += 10_000;
    const early = ask(slots, b, '2', { queueing: 'legacy' });
    assert.ok(early.kind === 'refused' && early.reason === 'too-early');
    assert.equal(slots.queued, 0);
    ask(slots, b, '2');
    now += 400_000;
    assert.equal(place(ask(slots, {}, '3')), 1, 'the place of the late one is gone');
    assert.deepEqual(slots.placesEnded, { served: 0, 'too-early': 1, expired: 1, closed: 0 });
  });

  it('of the old kind end with their connection', () => {
    const slots = slotsOf(1);
    ask(slots, {}, '1');
    const b = {};
    ask(slots, b, '2', { queueing: 'legacy' });
    slots.closed(b);
    assert.equal(slots.queued, 0);
    slots.closed(b);
    assert.deepEqual(slots.placesEnded, { served: 0, 'too-early': 0, expired: 0, closed: 1 });
  });

  it('are three for one address, waiting included, where limits apply', () => {
    const slots = slotsOf(2, 3);
    ask(slots, {}, '1', { fileKey: 'a' });
    ask(slots, {}, '1', { fileKey: 'b' });
    ask(slots, {}, '1', { fileKey: 'c' });
    const fourth = ask(slots, {}, '1', { fileKey: 'd' });
    assert.ok(fourth.kind === 'refused' && fourth.reason === 'host-limit');
    assert.equal(ask(slots, {}, '1', { fileKey: 'd', limited: false }).kind, 'queued');
  });

  it('are not given twice for the same file and address at one time', () => {
    const slots = slotsOf(5);
    const a = {};
    ask(slots, a, '1');
    const again = ask(slots, {}, '1');
    assert.ok(again.kind === 'refused' && again.reason === 'same-file');
    slots.done(a);
    assert.equal(ask(slots, {}, '1').kind, 'granted');
  });

  it('have a queue with an end', () => {
    const slots = slotsOf(0);
    for (let i = 0; i < MAX_QUEUED; i++) assert.equal(ask(slots, {}, `10.${i}`).kind, 'queued');
    const last = ask(slots, {}, 'last');
    assert.ok(last.kind === 'refused' && last.reason === 'queue-full');
  });

  it('tell the old kind when to poll, PARQ its ticket and others when to come back', () => {
    const slots = slotsOf(0);
    const headersOf = (queueing: Queueing, ip: string): readonly string[] => {
      const answer = ask(slots, {}, ip, { queueing });
      assert.ok(answer.kind === 'queued');
      return queueHeaders(answer.place);
    };
    assert.deepEqual(headersOf('legacy', '1'), ['X-Queue: position=1,length=1,limit=0,pollMin=45,pollMax=120']);
    assert.deepEqual(headersOf('parq', '2'), [
      'X-Queued: position=2; length=2; lifetime=350; ID=ticket2',
      'Retry-After: 50',
    ]);
    for (let i = 3; i < 40; i++) ask(slots, {}, String(i));
    assert.deepEqual(headersOf('none', '40'), ['Retry-After: 250']);
  });
});
