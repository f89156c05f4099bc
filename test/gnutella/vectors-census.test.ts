// No vector is forgotten: each is run by a test file that names it, or is listed here as later work or as left out on purpose.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { limewireVectors, vectors } from './vectors.ts';

/** Kinds of vectors.json and the test files, under test/gnutella, that run all of them. */
const RUN_BY: Readonly<Record<string, readonly string[]>> = {
  message: ['messages/vectors.test.ts'],
  cobs: ['encoding/encoding.test.ts'],
  base32: ['encoding/encoding.test.ts'],
  'ggep-length': ['ggep/ggep.test.ts'],
  'ggep-block': ['ggep/ggep.test.ts'],
  'ggep-block-decode': ['ggep/ggep.test.ts'],
  'ggep-block-invalid': ['ggep/ggep.test.ts'],
  'sha1-urn': ['urn/urn.test.ts'],
  guid: ['guid/guid.test.ts'],
};

/** Small functions, run one by one, and the test files that name them. */
const NAMED_RUN_BY: Readonly<Record<string, string>> = {
  guid_base16: 'guid/guid.test.ts',
  guid_base32: 'guid/guid.test.ts',
  x_alt_parse: 'address/address.test.ts',
  addr_bogon: 'address/address.test.ts',
  evil_filename: 'messages/bye-push-hsep.test.ts',
  time_sync_math: 'messages/vendor.test.ts',
  qrp_pass_throw: 'qrp/slot-set.test.ts',
  giv_line: '../transfers/giv/giv-line.test.ts',
  parq_retry: '../transfers/slots/upload-slots.test.ts',
  parq_header: '../transfers/slots/upload-slots.test.ts',
  parq_legacy: '../transfers/slots/upload-slots.test.ts',
  push_proxy_get: '../transfers/http/push-proxy.test.ts',
  push_proxy_get_hex: '../transfers/http/push-proxy.test.ts',
};
const NAMED_KINDS: ReadonlySet<string> = new Set(['text', 'text-parse', 'table']);

/** Kinds that the tests of their own folders run. */
const FOLDER_OF: readonly (readonly [prefix: string, folder: string])[] = [
  ['qrp-', 'qrp'],
  ['handshake', 'handshake'],
];

/** Kinds of later work: transfers, web caches, reliable UDP, the horizon of dynamic queries. */
const LATER_KINDS = [
  'tigertree-root',
  'tigertree-levels',
  'thex-dime',
  'gwc',
  'rudp',
  'udp-transceiver',
  'udp-deflated',
  'dq-horizon',
];

/** Small functions of later work: QUEUE by UDP, push proxies of a source, partial files, web caches. */
const LATER_NAMES = [
  'parq_queue_line',
  'x_fw_node_info_parse',
  'push_url_parse',
  'x_available_ranges',
  'gwc_update_url',
];

/** Subjects of vectors-limewire.json and the test files that run them. */
const LIMEWIRE_RUN_BY: Readonly<Record<string, string>> = {
  qrp_hash: 'qrp/limewire.test.ts',
  qrp_keywords: 'qrp/limewire.test.ts',
  qrp_prefixes: 'qrp/limewire.test.ts',
  qrp_nibbles: 'qrp/limewire.test.ts',
  qrp_patch_encoding: 'qrp/limewire.test.ts',
  qrp_errors: 'qrp/limewire.test.ts',
  qrp_resize: 'qrp/limewire.test.ts',
  qrp_messages: 'qrp/limewire.test.ts',
  qrt_entries: 'qrp/limewire.test.ts',
  qrt_match_rule: 'qrp/limewire.test.ts',
  user_agent_policy_limewire: 'handshake/vendor-policy.test.ts',
  wireshare_blocklist: 'handshake/vendor-policy.test.ts',
  base32: 'encoding/encoding.test.ts',
  ggep: 'ggep/ggep.test.ts',
  pong: 'messages/ping-pong.test.ts',
  query: 'messages/query.test.ts',
  urn: 'urn/urn.test.ts',
  push_proxy_http: '../transfers/http/push-proxy.test.ts',
  reply_flow_control: '../router/shard-hit-quota.test.ts',
  route_table: '../router/route-table-vectors.test.ts',
  client_guid_filter: 'guid/guid.test.ts',
};

/** Subjects of vectors-limewire.json that no test runs yet, and what they wait for. */
const LIMEWIRE_LATER: Readonly<Record<string, string>> = {
  dynamic_query: 'dynamic querying: a controlled search stands in for it (rows 52 to 59)',
  hgep_partial_ranges: 'partial files',
  tiger: 'Tiger trees',
  ip_list: 'lists of addresses that are blocked (row 180)',
};

/** Subjects where Filbert does something else on purpose; docs/protocol-support.md lists the rows. */
const LIMEWIRE_DELIBERATE: Readonly<Record<string, string>> = {
  slots: 'no slots are kept for the own family (row 114)',
};

function sourceOf(file: string): string {
  const path = fileURLToPath(new URL(file, import.meta.url));
  assert.ok(existsSync(path), `${file} is not there`);
  return readFileSync(path, 'utf8');
}

function later(name: string, kind: string): boolean {
  return NAMED_KINDS.has(kind) ? LATER_NAMES.includes(name) : LATER_KINDS.includes(kind);
}

describe('vectors: census', () => {
  it('finds each vector run by a test file, in a folder of its own, or among later work, and in one place only', () => {
    for (const { name, kind } of vectors) {
      const places = [
        kind in RUN_BY,
        NAMED_KINDS.has(kind) && name in NAMED_RUN_BY,
        FOLDER_OF.some(([prefix]) => kind.startsWith(prefix)),
        later(name, kind),
      ];
      assert.equal(places.filter(Boolean).length, 1, `${kind}: ${name}`);
    }
  });

  it('finds the kind or name written in the test file that runs it', () => {
    for (const [kind, files] of Object.entries(RUN_BY)) {
      for (const file of files) assert.ok(sourceOf(file).includes(`vectorsOfKind('${kind}')`), `${file}: ${kind}`);
    }
    for (const [name, file] of Object.entries(NAMED_RUN_BY)) {
      assert.ok(sourceOf(file).includes(`'${name}'`), `${file}: ${name}`);
    }
    for (const [subject, file] of Object.entries(LIMEWIRE_RUN_BY)) {
      assert.ok(subject in limewireVectors, subject);
      // The folders have readers of their own for the file, typed as far as they need it.
      assert.match(sourceOf(file), new RegExp(`\\b${subject}\\b`), `${file}: ${subject}`);
    }
  });

  it("finds each of LimeWire's subjects run by a test file, among later work or left out on purpose, in one place only", () => {
    const lists = [LIMEWIRE_RUN_BY, LIMEWIRE_LATER, LIMEWIRE_DELIBERATE];
    const subjects = Object.keys(limewireVectors).filter((key) => key !== '_about');
    for (const subject of subjects) {
      assert.equal(lists.filter((list) => subject in list).length, 1, subject);
    }
    for (const list of lists) for (const subject of Object.keys(list)) assert.ok(subjects.includes(subject), subject);
  });

  it('lists nothing that is not among the vectors', () => {
    const kinds = new Set(vectors.map(({ kind }) => kind));
    const names = new Set(vectors.map(({ name }) => name));
    for (const kind of [...Object.keys(RUN_BY), ...LATER_KINDS]) assert.ok(kinds.has(kind), kind);
    for (const name of [...Object.keys(NAMED_RUN_BY), ...LATER_NAMES]) assert.ok(names.has(name), name);
  });

  it('leaves the QRP messages to the tests of qrp alone', () => {
    const skipped = vectors.filter(({ kind, name }) => kind === 'message' && name.startsWith('qrp_'));
    assert.equal(skipped.length, 8);
    assert.ok(existsSync(fileURLToPath(new URL('qrp', import.meta.url))));
  });
});
