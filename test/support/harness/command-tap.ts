import { createConnection, createServer, type Socket } from 'node:net';

/**
 * Stands between a service and its queue server, counts the commands that change something there, and after one of them lets
 * nothing through any more, in either direction: that command takes effect, and its answer never arrives.
 */
export interface CommandTap {
  readonly port: number;
  /** Counts from now on; resolves once the `stopAfter`-th command has gone to the server and all else is cut off. */
  cutAfter(stopAfter: number): Promise<void>;
  /** Commands counted so far. */
  readonly counted: readonly string[];
  close(): Promise<void>;
}

/** A transaction changes nothing before its EXEC. */
const CHANGING = new Set(['EVAL', 'EVALSHA', 'EXEC', 'SET', 'HSET', 'HMSET', 'HDEL', 'DEL', 'ZADD']);

/**
 * Starts a tap in front of the server at `serverPort` of this machine. Of the commands that change something it counts those
 * whose first key, or script's first key, satisfies `isCounted`.
 */
export async function startCommandTap(
  serverPort: number,
  isCounted: (key: string) => boolean,
): Promise<CommandTap> {
  const sockets = new Set<Socket>();
  const counted: string[] = [];
  let stopAfter: number | null = null;
  let isCut = false;
  let cut: () => void = () => undefined;

  function pass(command: Command, upstream: Socket): void {
    if (isCut) return;
    upstream.write(command.bytes);
    if (stopAfter === null || !CHANGING.has(command.name) || !isCounted(command.key)) return;
    counted.push(`${command.name} ${command.key}`);
    if (counted.length < stopAfter) return;
    isCut = true;
    cut();
  }

  const server = createServer((client) => {
    const upstream = createConnection(serverPort, '127.0.0.1');
    const parser = new CommandParser();
    client.on('data', (chunk: Buffer) => {
      for (const command of parser.add(chunk)) pass(command, upstream);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (!isCut) client.write(chunk);
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        // What was sent is still carried out.
        other.end();
      });
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the tap has no port');
  return {
    port: address.port,
    counted,
    cutAfter(given) {
      stopAfter = given;
      return new Promise((resolve) => {
        cut = resolve;
      });
    },
    async close() {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A script's first key stands behind its name, its text or hash, and the number of its keys. */
const WORDS_READ = 4;

interface Command {
  readonly name: string;
  /** Empty for a command without keys. */
  readonly key: string;
  readonly bytes: Buffer;
}

/** Finds whole commands, arrays of bulk strings as clients send them, in a stream of bytes. */
class CommandParser {
  #rest: Buffer = Buffer.alloc(0);

  add(chunk: Buffer): Command[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const commands: Command[] = [];
    for (let found = this.#next(); found !== null; found = this.#next()) {
      commands.push(found);
      this.#rest = this.#rest.subarray(found.bytes.length);
    }
    return commands;
  }

  #next(): Command | null {
    const count = this.#number(0, '*');
    if (count === null) return null;
    let at = count.end;
    const words: string[] = [];
    for (let index = 0; index < count.value; index += 1) {
      const length = this.#number(at, '$');
      if (length === null || this.#rest.length < length.end + length.value + 2) return null;
      if (index < WORDS_READ)
        words.push(this.#rest.toString('latin1', length.end, length.end + length.value));
      at = length.end + length.value + 2;
    }
    const [name = '', first = '', , firstOfScript = ''] = words;
    const isScript = name.toUpperCase().startsWith('EVAL');
    return {
      name: name.toUpperCase(),
      key: isScript ? firstOfScript : first,
      bytes: this.#rest.subarray(0, at),
    };
  }

  #number(at: number, mark: '*' | '$'): { value: number; end: number } | null {
    const end = this.#rest.indexOf('\r\n', at);
    if (end === -1) return null;
    const text = this.#rest.toString('latin1', at, end);
    if (!text.startsWith(mark)) throw new Error(`a queue client sent ${JSON.stringify(text)} for a command`);
    return { value: Number(text.slice(1)), end: end + 2 };
  }
}
