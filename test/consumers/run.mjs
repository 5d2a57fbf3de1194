/**
 * Packs the library, installs the tarball into an application for each supported Nest version, and runs their tests. This
 * finds problems that only a consumer has: peer ranges, module formats, published types, TypeORM's older API.
 *
 *     npm run test:consumers [-- <name of a consumer> ...]
 */
import '@swc-node/register/esm-register';
import { deepStrictEqual } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { checkLoaders } from './loaders.mjs';
import { checkRecipe } from './recipe.mjs';
import { installTools } from './tools.mjs';

const LIBRARY = 'nestjs-materialized-views';
/** The consumers have the packages that each of these needs. */
const ENTRY_POINTS = ['', '/dashboard', '/health', '/opentelemetry', '/prometheus', '/testing'];
const CONSUMERS = ['nest12-esm', 'nest11-cjs'];
/** A test that leaves a connection or timer open would never exit. */
const STEP_TIMEOUT_MS = 5 * 60_000;

const root = path.resolve(import.meta.dirname, '../..');

async function main() {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((name) => !CONSUMERS.includes(name));
  if (unknown !== undefined) {
    throw new Error(`There is no consumer "${unknown}"; there are ${CONSUMERS.join(', ')}.`);
  }
  const directory = await mkdtemp(path.join(tmpdir(), 'consumers-'));
  let server;
  try {
    const tarball = await pack(directory);
    server = await startServer();
    const tools = await installTools(directory, run);
    const failures = [];
    for (const name of chosen.length > 0 ? chosen : CONSUMERS) {
      failures.push(...(await check(name, { directory, tarball, tools, serverUrl: server.url })));
    }
    console.log(failures.length === 0 ? '\nAll passed.' : `\nFailed: ${failures.join(', ')}`);
    process.exitCode = failures.length === 0 ? 0 : 1;
  } finally {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** `npm pack` builds first, as `npm publish` does. */
async function pack(directory) {
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', directory], root);
  return path.join(directory, JSON.parse(stdout)[0].filename);
}

async function startServer() {
  if (process.env.DATABASE_URL) {
    return { url: process.env.DATABASE_URL, stop: async () => undefined };
  }
  const { startPostgres } = await import('../../sample/support/postgres-server.ts');
  return startPostgres(process.env.POSTGRES_PACKAGE);
}

/** @returns the failed step, if any: the check stops at the first failure */
async function check(name, { directory, tarball, tools, serverUrl }) {
  const copy = path.join(directory, name);
  await cp(path.join(import.meta.dirname, name), copy, {
    recursive: true,
    filter: (file) => path.basename(file) !== 'node_modules',
  });
  await dependOn(tarball, path.join(copy, 'package.json'));
  const npm = (...args) => run('npm', args, copy, { TEST_SERVER_URL: serverUrl });
  const steps = {
    install: () => npm('install', '--no-audit', '--no-fund', '--strict-peer-deps'),
    load: () => load(copy),
    typecheck: () => npm('run', 'typecheck'),
    'test with jest': () => npm('test'),
    'test with vitest': () => npm('run', 'test:vitest'),
    loaders: () => checkLoaders({ consumer: copy, tools, run, databaseUrl: serverUrl }),
    // The sample uses Nest 12.
    ...(name === 'nest12-esm' && {
      recipe: () => checkRecipe({ consumer: copy, directory, tools, run, databaseUrl: serverUrl }),
    }),
  };
  console.log(`\n${name}`);
  for (const [step, work] of Object.entries(steps)) {
    const startedAtMs = performance.now();
    const problem = await work().then(() => undefined, problemOf);
    const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
    console.log(`  ${problem === undefined ? 'ok    ' : 'FAILED'}  ${step} (${seconds} s)`);
    if (problem !== undefined) {
      console.log(problem);
      return [`${name} ${step}`];
    }
  }
  return [];
}

async function dependOn(tarball, manifestFile) {
  const manifest = JSON.parse(await readFile(manifestFile, 'utf8'));
  manifest.dependencies[LIBRARY] = `file:${tarball}`;
  await writeFile(manifestFile, JSON.stringify(manifest, null, 2));
}

/** Checks that plain Node gets the same exports with `import` and with `require`. */
async function load(copy) {
  const names = async (type, expression) => {
    const source = `console.log(JSON.stringify(Object.keys(${expression}).sort()))`;
    const { stdout } = await run('node', [`--input-type=${type}`, '-e', source], copy);
    return JSON.parse(stdout);
  };
  for (const entryPoint of ENTRY_POINTS) {
    const imported = await names('module', `await import('${LIBRARY}${entryPoint}')`);
    const required = await names('commonjs', `require('${LIBRARY}${entryPoint}')`);
    deepStrictEqual(
      imported.filter((name) => name !== 'default' && name !== 'module.exports'),
      required,
    );
  }
}

function run(command, args, cwd, env = {}) {
  return promisify(execFile)(command, args, {
    cwd,
    env: { ...process.env, ...env },
    timeout: STEP_TIMEOUT_MS,
    maxBuffer: 64 * 2 ** 20,
  });
}

function problemOf(error) {
  const { stdout = '', stderr = '', killed, message } = error;
  const output = [stdout, stderr].join('\n').trim() || message;
  return killed ? `${output}\nIt did not end within ${STEP_TIMEOUT_MS / 1_000} s.` : output;
}

await main();
