export { AcceptingHandshake } from './accepting.ts';
export type { AcceptingOptions } from './accepting.ts';
export { DEFAULT_DEGREE, DEFAULT_MAX_TTL, QUERY_ROUTING_VERSION, readCapabilities } from './capabilities.ts';
export type { ContentEncoding, PeerCapabilities, PeerRole } from './capabilities.ts';
export { encodeBlock } from './encode-block.ts';
export { HeaderBlockReader } from './header-block-reader.ts';
export type { BrokenHeaderBlock, HeaderBlock, HeaderBlockFault, HeaderBlockResult } from './header-block-reader.ts';
export { HandshakeHeaders } from './headers.ts';
export { InitiatingHandshake } from './initiating.ts';
export type { InitiatingOptions } from './initiating.ts';
export {
  MAX_BLOCK_BYTES,
  MAX_CRAWLER_LIST_BYTES,
  MAX_HEADER_LINES,
  MAX_HOSTS_SENT,
  MAX_LINE_BYTES,
  MAX_OWN_BLOCK_BYTES,
  MAX_OWN_HEADERS,
} from './limits.ts';
export { refusalBlock } from './local-handshake.ts';
export type { LocalHandshake, RefusalOptions } from './local-handshake.ts';
export { sniff } from './sniff.ts';
export type { Sniffed } from './sniff.ts';
export { parseConnectLine, parseStatusLine } from './start-lines.ts';
export type { ConnectLine, StatusLine } from './start-lines.ts';
export type {
  Connected,
  Crawled,
  CrawlerDecision,
  Decision,
  Failed,
  HandshakeFailure,
  HandshakeOutcome,
  HandshakeStep,
  Refused,
} from './step.ts';
export {
  claimsAnotherVendor,
  decideAsLeaf,
  isGoodLeaf,
  isGoodUltrapeer,
  isRefusedByWireShare,
  protocolRefusal,
} from './vendor-policy.ts';
