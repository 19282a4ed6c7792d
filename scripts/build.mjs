// Bundles the command and what it uses of its dependencies into one file below dist: it starts in three fifths of the time
// that its modules take one by one, and a program that runs needs nothing of dist any more, so that a build under it changes nothing. The file is
// made beside the old one and takes its place in a single step, so that no reader ever meets a missing or half-written one.
//
//   build.mjs              builds
//   build.mjs --prepare    as npm's prepare script: without development dependencies there is nothing to do, and neither
//                          is there when npx runs the script, once for each folder, before it first calls the command:
//                          what stands is what was built, and npx would not recover from a build that fails
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = dirname(import.meta.dirname);
const DIST = join(ROOT, 'dist');
const SOURCE = 'src/cli/main.ts';
const COMMAND = 'src/cli/main.js';
/** Below dist, because a rename must stay on one file system. */
const UNFINISHED = '.unfinished-';

/** These read files that stand beside their own modules. */
const LEFT_IN_NODE_MODULES = ['@electric-sql/*'];
/** What CommonJS modules expect to be there, under a name that no module has. */
const REQUIRE =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";

process.exitCode = await build(process.argv.includes('--prepare'));

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
    await bundler.build(optionsFor(join(fresh, COMMAND)));
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
    format: 'esm',
    target: 'node20.19',
    external: LEFT_IN_NODE_MODULES,
    banner: { js: REQUIRE },
    // Names stay, for whoever reads a stack.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  };
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
