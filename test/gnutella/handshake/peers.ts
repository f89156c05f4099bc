// First blocks as other programs write them (docs/protocol/13-peers.md), of our own making.

import { block } from './support.ts';

const GTK_COMMON = [
  'Remote-IP: 203.0.113.7',
  'User-Agent: gtk-gnutella/1.2.3 (2024-03-03; Topless; Linux x86_64)',
  'Pong-Caching: 0.1',
  'Bye-Packet: 0.1',
  'GGEP: 0.5',
  'GUID: a1b2c3d4e5f60718ff2a3b4c5d6e7f00',
  'Vendor-Message: 0.2',
  'X-Query-Routing: 0.2',
  'X-Requeries: False',
  'Accept-Encoding: deflate',
  'X-Token: bm90IGEgdG9rZW4=;',
  'X-Live-Since: Sat, 21 Nov 2026 01:00:00 +0000',
  'X-Dynamic-Querying: 0.1',
  'X-Ultrapeer-Query-Routing: 0.1',
  'X-Max-TTL: 4',
  'X-Guess: 0.2',
  'X-Features: tls/1.0, sflag/0.1, HSEP/0.2',
];

const GTK_HELLO = ['GNUTELLA CONNECT/0.6', 'Node: 198.51.100.20:27853', 'Upgrade: TLS/1.0', ...GTK_COMMON];

export const GTK_LEAF_HELLO = block(...GTK_HELLO, 'X-Ultrapeer: False', 'X-Degree: 32');
export const GTK_UP_HELLO = block(...GTK_HELLO, 'X-Ultrapeer: True', 'X-Degree: 71', 'X-Ext-Probes: 0.1');
export const GTK_UP_WELCOME = block(
  'GNUTELLA/0.6 200 OK',
  ...GTK_COMMON,
  'X-Ultrapeer: True',
  'X-Ultrapeer-Needed: True',
  'X-Degree: 46',
  'X-Ext-Probes: 0.1',
  'Content-Encoding: deflate',
);

const LIMEWIRE_COMMON = [
  'X-Query-Routing: 0.2',
  'User-Agent: LimeWire/5.6.2',
  'Vendor-Message: 0.2',
  'X-Ultrapeer-Query-Routing: 0.1',
  'GGEP: 0.5',
  'Listen-IP: 198.51.100.20:31337',
  'Accept-Encoding: deflate',
  'Pong-Caching: 0.1',
  'X-Guess: 0.1',
  'X-Locale-Pref: en',
  'X-Requeries: false',
  'X-Max-TTL: 3',
  'X-Dynamic-Querying: 0.1',
  'X-Degree: 32',
  'Remote-IP: 203.0.113.7',
];

export const LIMEWIRE_LEAF_HELLO = block('GNUTELLA CONNECT/0.6', 'X-Ultrapeer: False', ...LIMEWIRE_COMMON);
export const LIMEWIRE_UP_HELLO = block('GNUTELLA CONNECT/0.6', 'X-Ultrapeer: True', ...LIMEWIRE_COMMON);
export const LIMEWIRE_UP_WELCOME = block(
  'GNUTELLA/0.6 200 OK',
  'X-Ultrapeer: True',
  ...LIMEWIRE_COMMON,
  'X-Ext-Probes: 0.1',
  'Content-Encoding: deflate',
  'X-Ultrapeer-Needed: false',
);

const BUN_COMMON = [
  'User-Agent: gnutella-bun-client/1.2.0',
  'Listen-IP: 198.51.100.20:6346',
  'X-Max-TTL: 4',
  'X-Ultrapeer: True',
  'X-Ultrapeer-Needed: True',
  'X-Ultrapeer-Query-Routing: 0.1',
  'X-Dynamic-Querying: 0.1',
  'X-Ext-Probes: 0.1',
  'X-Degree: 32',
  'X-Query-Routing: 0.2',
  'Accept-Encoding: deflate',
  'Pong-Caching: 0.1',
  'GGEP: 0.5',
  'Bye-Packet: 0.1',
  'Remote-IP: 203.0.113.7',
];

export const BUN_UP_HELLO = block('GNUTELLA CONNECT/0.6', ...BUN_COMMON, 'Upgrade: TLS/1.0');
export const BUN_UP_WELCOME = block('GNUTELLA/0.6 200 OK', ...BUN_COMMON);

export const FINAL_PLAIN = block('GNUTELLA/0.6 200 OK');
export const FINAL_DEFLATE = block('GNUTELLA/0.6 200 OK', 'Content-Encoding: deflate');
