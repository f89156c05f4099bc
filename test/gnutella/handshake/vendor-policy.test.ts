import assert from 'node:assert/strict';
import { claimsAnotherVendor, isRefusedByWireShare, readCapabilities, refusalBlock } from '@filbert/gnutella';
import { GnutellaError } from '@filbert/gnutella';
import { ULTRAPEER, accepting, block, bytes, connected, feed, limewireVectors, readBlock } from './support.ts';
import { FINAL_PLAIN } from './peers.ts';

const vectors = limewireVectors();

describe('handshake: vendors', () => {
  it('User-Agents reach the decision unjudged, whatever LimeWire thought of them', () => {
    // A deliberate difference: LimeWire refuses Morpheus and its own old versions; here the operator's ban list decides.
    for (const { ua } of vectors.user_agent_policy_limewire) {
      for (const ultrapeer of ['True', 'False']) {
        const hello = block('GNUTELLA CONNECT/0.6', `User-Agent: ${ua}`, `X-Ultrapeer: ${ultrapeer}`);
        const { outcome } = feed(accepting(), [bytes(hello), bytes(FINAL_PLAIN)]);
        assert.equal(connected(outcome).peer.userAgent, ua);
      }
    }
  });

  it('our own User-Agent and port are not among those that WireShare refuses', () => {
    assert.equal(isRefusedByWireShare(ULTRAPEER.userAgent, 6346), false);
    const { listen_ports, ua_contains, ua_starts, ua_both } = vectors.wireshare_blocklist;
    for (const port of listen_ports) assert.equal(isRefusedByWireShare('Filbert/0.1', port), true, `${port}`);
    for (const part of ua_contains) assert.equal(isRefusedByWireShare(`Filbert/0.1 ${part}`, 6346), true, part);
    for (const start of ua_starts) assert.equal(isRefusedByWireShare(`${start}.1`, 6346), true, start);
    assert.equal(isRefusedByWireShare(`${ua_both[0]}-gnutella/0.96 (${ua_both[1]}-01-01)`, 6346), true);
    assert.equal(isRefusedByWireShare('Filbert/0.1 (2007)', 6346), false);
    assert.equal(isRefusedByWireShare('gtk-gnutella/1.2.3 (2024-03-03)', 6346), false);
  });

  it("knows other vendors' names", () => {
    for (const agent of ['LimeWire/5.6.2', 'gtk-gnutella/1.2.3', ' wireshare/6', 'Shareaza 2.7', 'BearShare']) {
      assert.equal(claimsAnotherVendor(agent), true, agent);
    }
    for (const agent of ['Filbert/0.1', 'Filbert/0.1 (not LimeWire)', 'Limewirish/1']) {
      assert.equal(claimsAnotherVendor(agent), false, agent);
    }
  });
});

describe('handshake: refusal blocks', () => {
  const hosts = Array.from({ length: 15 }, (_, index) => `198.51.100.${index + 1}:6346`);
  const options = { userAgent: 'Filbert/0.1', remoteIp: '203.0.113.7', tryUltrapeers: hosts, ultrapeer: true };

  it('say role and hosts to try only with the codes that allow it', () => {
    for (const [code, role, tries] of [
      [503, true, true],
      [204, true, true],
      [409, false, true],
      [403, false, false],
      [406, false, false],
      [429, false, false],
      [550, false, false],
    ] as const) {
      const { startLine, headers } = readBlock(refusalBlock(code, 'No', options));
      assert.equal(startLine, `GNUTELLA/0.6 ${code} No`);
      assert.equal(headers.get('User-Agent'), 'Filbert/0.1');
      assert.equal(headers.get('Remote-IP'), '203.0.113.7');
      assert.equal(headers.has('X-Ultrapeer'), role, `${code}: X-Ultrapeer`);
      assert.equal(headers.has('X-Try-Ultrapeers'), tries, `${code}: X-Try-Ultrapeers`);
    }
  });

  it('name ten hosts at the most, and need neither hosts nor role', () => {
    const full = readBlock(refusalBlock(503, 'Busy', options));
    assert.deepEqual(readCapabilities(full.headers).tryUltrapeers, hosts.slice(0, 10));
    const bare = refusalBlock(503, 'Busy', { userAgent: 'Filbert/0.1', remoteIp: '203.0.113.7' });
    assert.equal(
      Buffer.from(bare).toString('latin1'),
      block('GNUTELLA/0.6 503 Busy', 'User-Agent: Filbert/0.1', 'Remote-IP: 203.0.113.7'),
    );
  });

  it('let no reason add a header and bound its length', () => {
    const { startLine, headers } = readBlock(refusalBlock(503, `a\r\nEvil: 1${'x'.repeat(5000)}`, options));
    assert.equal(headers.has('Evil'), false);
    assert.ok(startLine.length < 300);
  });

  it('are not written with a code that refuses nothing', () => {
    for (const code of [200, 100, 299, 1000, 503.5, Number.NaN]) {
      assert.throws(() => refusalBlock(code, 'No', options), GnutellaError);
    }
  });
});
