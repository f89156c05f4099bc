import type { Bus, BusEvent, Codec, RequestTopic, Sequenced, Topic } from '@filbert/kit';

/** What the tests of the bus send. */
export interface Note {
  text: string;
}

/** A message of a credit stream. */
export interface Part extends Sequenced {
  text: string;
}

/** JSON that refuses what has no `text`. */
function jsonCodec<T extends Note>(): Codec<T> {
  return {
    encode: (message) => Buffer.from(JSON.stringify(message)),
    decode: (bytes) => {
      const value = JSON.parse(Buffer.from(bytes).toString()) as Partial<T>;
      if (typeof value.text !== 'string') throw new Error('no text');
      return value as T;
    },
  };
}

export const noteCodec = jsonCodec<Note>();

export function noteTopic(subject: string, plane: Topic<Note>['plane'] = 'data'): Topic<Note> {
  return { name: 'note', subject, plane, codec: noteCodec };
}

export function partTopic(subject: string): Topic<Part> {
  return { name: 'part', subject, plane: 'data', codec: jsonCodec<Part>() };
}

export function questionTopic(subject: string): RequestTopic<Note, Note> {
  return { name: 'question', subject, request: noteCodec, reply: noteCodec };
}

export function part(text: string): Part {
  return { epoch: 0, number: 0, sentAtMs: 0, text };
}

/** The value of one counter of a bus. */
export function count(bus: Bus, topic: string, event: BusEvent): number {
  for (const entry of bus.counters()) if (entry.topic === topic && entry.event === event) return entry.value;
  return 0;
}

/** Each test has subjects of its own. */
let lastSubject = 0;
export function freshSubject(): string {
  return `test.${++lastSubject}`;
}

/** Asks over and over until somebody responds: over NATS a subscription takes a moment to reach the server. */
export async function askUntilAnswered(bus: Bus, topic: RequestTopic<Note, Note>, text: string): Promise<Note> {
  for (const deadline = Date.now() + 5000; ;) {
    try {
      return await bus.request(topic, { text }, { timeoutMs: 500 });
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
