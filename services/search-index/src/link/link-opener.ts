import type { InternalEdge } from '@filbert/contracts';

/** Where links of the node to itself come from: an internal edge, or a stand-in of a test. */
export type LinkOpener = Pick<InternalEdge, 'openLink'>;
