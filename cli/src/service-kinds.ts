/** What the processes of a node are; a label of metrics. */
export const SERVICE_KINDS = ['bootstrap', 'router', 'search-index', 'transfers', 'connections'] as const;
export type ServiceKind = (typeof SERVICE_KINDS)[number];
