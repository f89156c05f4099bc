/** The version of all of Filbert; package.json files carry the same. */
export const FILBERT_VERSION = '0.1.0';

/** What the node calls itself towards peers. */
export const USER_AGENT = `Filbert/${FILBERT_VERSION}`;
