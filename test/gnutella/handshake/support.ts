// Both ends of a handshake for tests: our own side, block texts, and how to feed them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type {
  AcceptingOptions,
  Connected,
  Decision,
  Failed,
  HandshakeOutcome,
  HandshakeStep,
  InitiatingOptions,
  LocalHandshake,
  Refused,
  HandshakeHeaders,
} from '@filbert/gnutella';
import { AcceptingHandshake, HeaderBlockReader, InitiatingHandshake } from '@filbert/gnutella';

export const SERVENT_GUID = Buffer.from('0f1e2d3c4b5a6978ff8796a5b4c3d200', 'hex');
export const PEER_IP = '198.51.100.20';

export const ULTRAPEER: LocalHandshake = {
  userAgent: 'Filbert/0.1',
  role: 'ultrapeer',
  listenAddress: '203.0.113.7:6346',
  guid: SERVENT_GUID,
  degree: 32,
  maxTtl: 4,
  liveSince: new Date('2026-11-21T01:00:00Z'),
  acceptDeflate: true,
  offerDeflate: true,
  features: 'sflag/0.1',
};

export const LEAF: LocalHandshake = { ...ULTRAPEER, role: 'leaf' };

export const acceptAll = (): Decision => ({ accept: true });

/** Joins lines into a block: CRLF after each, and the blank line. */
export function block(...lines: string[]): string {
  return lines.map((line) => `${line}\r\n`).join('') + '\r\n';
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Reads one of our own blocks back. */
export function readBlock(sent: Uint8Array | undefined): { startLine: string; headers: HandshakeHeaders } {
  assert.ok(sent, 'nothing was sent');
  const result = new HeaderBlockReader().push(sent);
  assert.ok(result?.ok, 'what was sent is no whole block');
  assert.equal(result.consumed, sent.length);
  return { startLine: result.startLine, headers: result.headers };
}

export function accepting(options: Partial<AcceptingOptions> = {}): AcceptingHandshake {
  return new AcceptingHandshake({ local: ULTRAPEER, remoteIp: PEER_IP, decide: acceptAll, ...options });
}

/** An initiator that has sent block 1. */
export function initiating(options: Partial<InitiatingOptions> = {}): InitiatingHandshake {
  const handshake = new InitiatingHandshake({ local: ULTRAPEER, remoteIp: PEER_IP, decide: acceptAll, ...options });
  handshake.start();
  return handshake;
}

type Machine = { receive(chunk: Uint8Array): HandshakeStep };

/** What a machine sent and ended with after it was given the chunks. */
export function feed(machine: Machine, chunks: readonly Uint8Array[]): { sent: string; outcome?: HandshakeOutcome } {
  let sent = '';
  let outcome: HandshakeOutcome | undefined;
  for (const chunk of chunks) {
    const step = machine.receive(chunk);
    if (step.send) sent += Buffer.from(step.send).toString('latin1');
    if (step.outcome) {
      assert.equal(outcome, undefined, 'a second outcome');
      outcome = step.outcome;
    }
  }
  return outcome ? { sent, outcome } : { sent };
}

export function connected(outcome: HandshakeOutcome | undefined): Connected {
  assert.ok(outcome?.kind === 'connected', `expected connected, got ${JSON.stringify(outcome)}`);
  return outcome;
}

export function refused(outcome: HandshakeOutcome | undefined): Refused {
  assert.ok(outcome?.kind === 'refused', `expected refused, got ${JSON.stringify(outcome)}`);
  return outcome;
}

export function failed(outcome: HandshakeOutcome | undefined): Failed {
  assert.ok(outcome?.kind === 'failed', `expected failed, got ${JSON.stringify(outcome)}`);
  return outcome;
}

export interface HandshakeVector {
  readonly name: string;
  readonly expected: readonly { readonly from: 'A' | 'B'; readonly text: string }[];
}

const vectorFile = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8'));

/** All vectors of kind handshake, by name. */
export function handshakeVectors(): Map<string, HandshakeVector> {
  const all = vectorFile('vectors.json') as (HandshakeVector & { kind: string })[];
  return new Map(all.filter((vector) => vector.kind === 'handshake').map((vector) => [vector.name, vector]));
}

export interface LimewireVectors {
  readonly user_agent_policy_limewire: readonly {
    readonly ua: string;
    readonly up: boolean;
    readonly leaf?: boolean;
  }[];
  readonly wireshare_blocklist: {
    readonly listen_ports: readonly number[];
    readonly ua_contains: readonly string[];
    readonly ua_starts: readonly string[];
    readonly ua_both: readonly string[];
    readonly lime_prefixes: readonly string[];
  };
}

export function limewireVectors(): LimewireVectors {
  return vectorFile('vectors-limewire.json') as LimewireVectors;
}
