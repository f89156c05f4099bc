import { parseHostPort, type HostPort } from '@filbert/kit';
import { SERVICE_KINDS, type ServiceKind } from '../service-kinds.ts';

/** Where each service of a node takes control calls that runs as containers, pods or processes of their own. */
export type ServiceAddresses = Readonly<Record<ServiceKind, HostPort>>;

/**
 * Reads `bootstrap=HOST:PORT,router=HOST:PORT,…`, in any order. A host may be a name with several addresses: each is a
 * process of that service then.
 * @throws Error with a sentence unless every service is there once
 */
export function parseServiceAddresses(text: string): ServiceAddresses {
  const found = new Map<string, HostPort>();
  for (const part of text.split(',')) {
    const [kind = '', where = ''] = part.split('=', 2).map((piece) => piece.trim());
    const address = parseHostPort(where);
    if (address === undefined || address.port === 0) throw new Error(`"${part.trim()}" is not SERVICE=HOST:PORT`);
    if (!SERVICE_KINDS.some((known) => known === kind)) {
      throw new Error(`"${kind}" is none of ${SERVICE_KINDS.join(', ')}`);
    }
    if (found.has(kind)) throw new Error(`${kind} is named twice`);
    found.set(kind, address);
  }
  const get = (kind: ServiceKind): HostPort => {
    const address = found.get(kind);
    if (address === undefined) throw new Error(`${kind} is missing: every service must be named`);
    return address;
  };
  return {
    bootstrap: get('bootstrap'),
    router: get('router'),
    'search-index': get('search-index'),
    transfers: get('transfers'),
    connections: get('connections'),
  };
}
