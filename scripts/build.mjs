// Compiles src and workers into dist, also while programs run from it: everything is compiled beside it first, then
// each file takes the place of the old one in a single step, so that no reader ever meets a missing or half-written file.
//
//   build.mjs              builds
//   build.mjs --prepare    as npm's prepare script: without development dependencies there is nothing to do, and neither
//                          is there when npx runs the script, once for each folder, before it first calls the command:
//                          what stands is what was built, and npx would not recover from a build that fails
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const ROOT = dirname(import.meta.dirname);
const DIST = join(ROOT, 'dist');
const COMMAND = 'src/cli/main.js';
/** Below dist, because a rename must stay on one file system. */
const UNFINISHED = '.unfinished-';

process.exitCode = build(process.argv.includes('--prepare'));

/** Answers the exit code. */
function build(isPrepare) {
  if (isPrepare && process.env.npm_command === 'exec' && existsSync(join(DIST, COMMAND))) return 0;
  const compiler = findCompiler();
  if (compiler === null) {
    process.stderr.write('everlog: nothing built, because TypeScript is not installed here\n');
    return isPrepare ? 0 : 1;
  }
  mkdirSync(DIST, { recursive: true });
  const fresh = mkdtempSync(join(DIST, UNFINISHED));
  try {
    const compiled = spawnSync(
      process.execPath,
      [compiler, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', fresh],
      { stdio: 'inherit' },
    );
    if (compiled.status !== 0) return 1;
    chmodSync(join(fresh, COMMAND), 0o755);
    replaceFiles(fresh);
    return 0;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function findCompiler() {
  try {
    return createRequire(import.meta.url).resolve('typescript/bin/tsc');
  } catch {
    return null;
  }
}

function replaceFiles(fresh) {
  const files = filesBelow(fresh);
  for (const file of files) {
    mkdirSync(dirname(join(DIST, file)), { recursive: true });
    renameSync(join(fresh, file), join(DIST, file));
  }
  const kept = new Set(files);
  for (const file of filesBelow(DIST)) {
    if (!kept.has(file) && !file.startsWith(UNFINISHED)) rmSync(join(DIST, file), { force: true });
  }
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
