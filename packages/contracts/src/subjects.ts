// Every subject of the bus stands here and nowhere else (docs/architecture.md, "The bus").
import type { Codec, RequestTopic, Topic } from '@filbert/kit';
import {
  CandidatesReply,
  CandidatesRequest,
  EdgeControlReply,
  EdgeControlRequest,
  EdgeSummary,
  EgressBatch,
  FactsRequest,
  GivReply,
  GivRequest,
  HostsSeen,
  IngressBatch,
  LearnBatch,
  LibraryBrowseReply,
  LibraryBrowseRequest,
  LibraryLookupReply,
  LibraryLookupRequest,
  LibrarySummary,
  MergedTable,
  MergedTableRequest,
  NodeFacts,
  PushProxyReply,
  PushProxyRequest,
  StateBatch,
  SummaryPoll,
  TransfersSummary,
  type MessageFns,
} from './gen/filbert/bus/v1/bus.ts';

const PREFIX = 'fb.v1';

/** What an edge id may look like: it is one token of a subject. */
export const EDGE_ID_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/;

function codecOf<T>(type: MessageFns<T>): Codec<T> {
  return { encode: (message) => type.encode(message).finish(), decode: (bytes) => type.decode(bytes) };
}

function topicFamily<T>(name: string, plane: Topic<T>['plane'], type: MessageFns<T>): (subject: string) => Topic<T> {
  const codec = codecOf(type);
  return (subject) => ({ name, subject, plane, codec });
}

const ingress = topicFamily('router.ingress', 'data', IngressBatch);
const egress = topicFamily('edge.egress', 'data', EgressBatch);
const state = topicFamily('edge.state', 'control', StateBatch);
const learn = topicFamily('router.learn', 'control', LearnBatch);
const control = { request: codecOf(EdgeControlRequest), reply: codecOf(EdgeControlReply) };

/** Frames that arrived: edges → the shard. A credit stream. */
export function routerIngress(shard: number): Topic<IngressBatch> {
  return ingress(`${PREFIX}.router.${shard}.ingress`);
}

/** Frames to send: shards → the edge. A credit stream. */
export function edgeEgress(edgeId: string): Topic<EgressBatch> {
  return egress(`${PREFIX}.edge.${edgeId}.egress`);
}

/** The edge's numbered stream of link records: edge → all shards. */
export function edgeState(edgeId: string): Topic<StateBatch> {
  return state(`${PREFIX}.edge.${edgeId}.state`);
}

/** The state streams of all edges, for shards to follow. */
export const allEdgeStates: Topic<StateBatch> = state(`${PREFIX}.edge.*.state`);

/** Servent GUIDs learned from hits: shards → the shard of that GUID. */
export function routerLearn(shard: number): Topic<LearnBatch> {
  return learn(`${PREFIX}.router.${shard}.learn`);
}

/** A PUSH that was asked for over HTTP: transfers → the shard of its servent GUID. */
export function routerPush(shard: number): RequestTopic<PushProxyRequest, PushProxyReply> {
  return {
    name: 'router.push',
    subject: `${PREFIX}.router.${shard}.push`,
    request: codecOf(PushProxyRequest),
    reply: codecOf(PushProxyReply),
  };
}

/** Commands to one edge. */
export function edgeControl(edgeId: string): RequestTopic<EdgeControlRequest, EdgeControlReply> {
  return { name: 'edge.control', subject: `${PREFIX}.edge.${edgeId}.control`, ...control };
}

/** Each edge's heartbeat, once a second and when polled. */
export const edgesSummary: Topic<EdgeSummary> = topicFamily(
  'edges.summary',
  'control',
  EdgeSummary,
)(`${PREFIX}.edges.summary`);

/** Asks every edge for its heartbeat now: a shard that starts need not wait for the next. */
export const edgesPoll: Topic<SummaryPoll> = topicFamily('edges.poll', 'control', SummaryPoll)(`${PREFIX}.edges.poll`);

/** What every service must know of the node: published by bootstrap on change and every few seconds. */
export const nodeFacts: Topic<NodeFacts> = topicFamily('node.facts', 'control', NodeFacts)(`${PREFIX}.node.facts`);

/** The facts now, for a service that starts. */
export const nodeFactsRequest: RequestTopic<FactsRequest, NodeFacts> = {
  name: 'node.facts.get',
  subject: `${PREFIX}.node.facts.get`,
  request: codecOf(FactsRequest),
  reply: codecOf(NodeFacts),
};

/** Addresses learned and outcomes of dials: edges → bootstrap. */
export const hostsSeen: Topic<HostsSeen> = topicFamily('hosts.seen', 'control', HostsSeen)(`${PREFIX}.hosts.seen`);

/** Hosts worth dialling, each handed to one edge at a time: edge → bootstrap. */
export const hostsCandidates: RequestTopic<CandidatesRequest, CandidatesReply> = {
  name: 'hosts.candidates',
  subject: `${PREFIX}.hosts.candidates`,
  request: codecOf(CandidatesRequest),
  reply: codecOf(CandidatesReply),
};

/** Changes of the table that ultrapeers get: shard 0 → all edges. */
export const mergedTable: Topic<MergedTable> = topicFamily(
  'router.table',
  'control',
  MergedTable,
)(`${PREFIX}.router.table`);

/** The whole merged table, for an edge that starts or missed a change. */
export const mergedTableRequest: RequestTopic<MergedTableRequest, MergedTable> = {
  name: 'router.table.get',
  subject: `${PREFIX}.router.table.get`,
  request: codecOf(MergedTableRequest),
  reply: codecOf(MergedTable),
};

/** What each library shard holds: search-index → bootstrap. */
export const librarySummary: Topic<LibrarySummary> = topicFamily(
  'library.summary',
  'control',
  LibrarySummary,
)(`${PREFIX}.library.summary`);

/** One shared file by hash or index: transfers → search-index; shards that do not have it stay silent. */
export const libraryLookup: RequestTopic<LibraryLookupRequest, LibraryLookupReply> = {
  name: 'library.lookup',
  subject: `${PREFIX}.library.lookup`,
  request: codecOf(LibraryLookupRequest),
  reply: codecOf(LibraryLookupReply),
};

/** A page of the library as query hits, for browse host: transfers → search-index. */
export const libraryBrowse: RequestTopic<LibraryBrowseRequest, LibraryBrowseReply> = {
  name: 'library.browse',
  subject: `${PREFIX}.library.browse`,
  request: codecOf(LibraryBrowseRequest),
  reply: codecOf(LibraryBrowseReply),
};

/** Heartbeat of each transfers worker: → edges and bootstrap. */
export const transfersSummary: Topic<TransfersSummary> = topicFamily(
  'transfers.summary',
  'control',
  TransfersSummary,
)(`${PREFIX}.transfers.summary`);

/** Who waits for a GIV of this servent (32 hex digits): one worker claims it, the others stay silent. */
export function giv(serventGuidHex: string): RequestTopic<GivRequest, GivReply> {
  return {
    name: 'giv',
    subject: `${PREFIX}.giv.${serventGuidHex}`,
    request: codecOf(GivRequest),
    reply: codecOf(GivReply),
  };
}
