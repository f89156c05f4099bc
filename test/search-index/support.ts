import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { InternalLink, InternalLinkOptions, LinkKind } from '@filbert/contracts';
import { asSha1, HEADER_BYTES, HOPS_OFFSET, TTL_OFFSET, type Sha1, type SlotSet } from '@filbert/gnutella';
import { createLogger } from '@filbert/kit';
import { Catalogue, openLibraryDatabase } from '../../services/search-index/src/catalogue/catalogue.ts';
import { Library } from '../../services/search-index/src/catalogue/library.ts';
import type { HashedFile, SharedFile } from '../../services/search-index/src/catalogue/shared-file.ts';
import type { LinkOpener } from '../../services/search-index/src/link/link-opener.ts';

export const silent = createLogger({ level: 'silent', name: 'test' });

export function sha1Of(content: string | Uint8Array): Sha1 {
  return asSha1(createHash('sha1').update(content).digest());
}

/** A folder of its own for each test, gone afterwards; readable for everyone. */
export class TempFolder {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'filbert-library-')));

  constructor() {
    chmodSync(this.path, 0o755);
  }

  /** Writes a file, folders included. @returns its path */
  write(name: string, content: string | Uint8Array = name): string {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A file as hashing would tell it; its content is its name. */
export function hashedFile(path: string, changes: Partial<HashedFile> = {}): HashedFile {
  return { path, sizeBytes: 1000, modifiedMs: 1_700_000_000_000.25, sha1: sha1Of(path), ...changes };
}

export interface LibraryChanges {
  readonly now?: () => number;
  readonly maxFiles?: number;
  readonly isShared?: (path: string) => boolean;
}

export interface TestLibrary {
  readonly library: Library;
  readonly catalogue: Catalogue;
  /** Adds files by their paths. */
  add(...paths: string[]): readonly SharedFile[];
  close(): void;
}

/** A library over a catalogue in `folder`. */
export function openLibrary(folder: string, changes: LibraryChanges = {}): TestLibrary {
  const { now = () => 1_700_000_000_000, maxFiles = 1_000_000, isShared = () => true } = changes;
  const catalogue = new Catalogue(openLibraryDatabase(folder));
  const library = new Library({ catalogue, logger: silent, now, maxFiles });
  const loading = library.load(isShared);
  while (loading.next().done !== true);
  return {
    library,
    catalogue,
    add: (...paths) => library.add(paths.map((path) => hashedFile(path))),
    close: () => catalogue.close(),
  };
}

/** A link that keeps what was sent, and through which frames can be put in. */
export class StandInLink implements InternalLink {
  readonly number: number;
  readonly kind: LinkKind;
  readonly sent: Uint8Array[] = [];
  /** W3C traceparents that the frames sent went with. */
  readonly traces: (string | undefined)[] = [];
  readonly tables: SlotSet[] = [];
  closed = false;
  readonly #options: InternalLinkOptions;

  constructor(number: number, kind: LinkKind, options: InternalLinkOptions) {
    this.number = number;
    this.kind = kind;
    this.#options = options;
  }

  setTable(table: SlotSet): void {
    this.tables.push(table);
  }

  send(frame: Uint8Array, trace?: string): void {
    this.traces.push(trace);
    this.sent.push(frame.slice());
  }

  close(): void {
    this.closed = true;
  }

  /** Delivers a frame as the router does: in the midst of others, in bytes that are used again afterwards. */
  receive(frame: Uint8Array, trace?: string): void {
    const bytes = new Uint8Array(frame.length + 20).fill(0xee);
    bytes.set(frame, 7);
    const ttl = frame[TTL_OFFSET] ?? 0;
    const hops = frame[HOPS_OFFSET] ?? 0;
    if (frame.length < HEADER_BYTES) throw new Error('a frame has a header');
    this.#options.onFrame(bytes, 7, 7 + frame.length, ttl, hops, trace);
    bytes.fill(0xdd);
  }
}

/** Links in memory instead of over the bus. */
export class StandInEdge implements LinkOpener {
  readonly links: StandInLink[] = [];

  openLink(kind: LinkKind, options: InternalLinkOptions): StandInLink {
    const link = new StandInLink(this.links.length + 1, kind, options);
    this.links.push(link);
    return link;
  }

  /** The link opened last. */
  get last(): StandInLink {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error('no link was opened');
    return link;
  }
}
