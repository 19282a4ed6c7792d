// Bundles the command and what it uses of its dependencies into one file below dist: it starts in three fifths of the time
// that its modules take one by one, and a program that runs needs nothing of dist any more, so that a build under it changes nothing. The file is
// made beside the old one and takes its place in a single step, so that no reader ever meets a missing or half-written one.
//
//   build.mjs              builds
//   build.mjs --cache PROGRAM   runs the program once, to leave V8's code cache of it beside it
//   build.mjs --prepare    as npm's prepare script: without development dependencies there is nothing to do, and neither
//                          is there when npx runs the script, once for each folder, before it first calls the command:
//                          what stands is what was built, and npx would not recover from a build that fails
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';

const ROOT = dirname(import.meta.dirname);
const DIST = join(ROOT, 'dist');
const SOURCE = 'src/cli/main.ts';
const COMMAND = 'src/cli/main.js';
const PROGRAM = 'src/cli/everlog.cjs';
/** Below dist, because a rename must stay on one file system. */
const UNFINISHED = '.unfinished-';

/** These read files that stand beside their own modules, or are loaded by few. */
const LEFT_IN_NODE_MODULES = ['@electric-sql/*', '@opentelemetry/*', 'bullmq-otel'];
/**
 * The program is a function of what Node gives a CommonJS module. It begins with the name of its build, of which its code
 * cache has a copy (see launch.mjs).
 */
const NAMELESS = `/* ${'0'.repeat(64)} */\n`;
/** Characters at the beginning of a program that tell it from any other, as launch.mjs has them. */
const NAMED_BY = 100;
const HEAD = `${NAMELESS}(function (require, module, __filename, __dirname) { "use strict"; const exports = module.exports;
const __moduleUrl = require('node:url').pathToFileURL(__filename).href;`;
const TAIL = '})';

if (process.argv[2] === '--cache') cacheCode(process.argv[3]);
else process.exitCode = await build(process.argv.includes('--prepare'));

/** Answers the exit code. */
async function build(isPrepare) {
  if (isPrepare && process.env.npm_command === 'exec' && existsSync(join(DIST, COMMAND))) return 0;
  const bundler = await findBundler();
  if (bundler === null) {
    process.stderr.write('everlog: nothing built, because esbuild is not installed here\n');
    return isPrepare ? 0 : 1;
  }
  mkdirSync(DIST, { recursive: true });
  const fresh = mkdtempSync(join(DIST, UNFINISHED));
  try {
    const program = join(fresh, PROGRAM);
    await bundler.build(optionsFor(program));
    nameBuild(program);
    execFileSync(process.execPath, [import.meta.filename, '--cache', program], { stdio: 'ignore' });
    copyFileSync(join(import.meta.dirname, 'launch.mjs'), join(fresh, COMMAND));
    chmodSync(join(fresh, COMMAND), 0o755);
    replaceFiles(fresh);
    return 0;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function optionsFor(outfile) {
  return {
    entryPoints: [join(ROOT, SOURCE)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    external: LEFT_IN_NODE_MODULES,
    define: { 'import.meta.url': '__moduleUrl' },
    banner: { js: HEAD },
    footer: { js: TAIL },
    // Names stay, for whoever reads a stack.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  };
}

/** Writes the hash of the program where its name belongs, so that another program has another name. */
function nameBuild(program) {
  const text = readFileSync(program, 'utf8');
  if (!text.slice(0, NAMED_BY).includes(NAMELESS)) throw new Error(`${program} has no place for its name`);
  const hash = createHash('sha256').update(text).digest('hex');
  writeFileSync(program, text.replace(NAMELESS, NAMELESS.replace(/0+/, hash)), 'utf8');
}

/** A cache taken when the program ends has what all commands run as they are loaded, compiled. */
function cacheCode(program) {
  const source = readFileSync(program, 'utf8');
  const script = new Script(source, { filename: program });
  process.once('exit', () => {
    writeFileSync(
      `${program}.cache`,
      Buffer.concat([Buffer.from(source.slice(0, NAMED_BY)), script.createCachedData()]),
    );
  });
  process.argv = [process.argv[0], program, '--help'];
  const home = join(DIST, PROGRAM);
  script.runInThisContext()(createRequire(home), { exports: {} }, home, dirname(home));
}

async function findBundler() {
  try {
    return await import('esbuild');
  } catch {
    return null;
  }
}

function replaceFiles(fresh) {
  const files = entriesBelow(fresh).filter((entry) => statSync(join(fresh, entry)).isFile());
  for (const file of files) {
    mkdirSync(dirname(join(DIST, file)), { recursive: true });
    renameSync(join(fresh, file), join(DIST, file));
  }
  for (const entry of entriesBelow(DIST)) {
    const isKept = files.some((file) => file === entry || file.startsWith(`${entry}/`));
    if (!isKept && !entry.startsWith(UNFINISHED)) rmSync(join(DIST, entry), { recursive: true, force: true });
  }
}

function entriesBelow(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' });
}
