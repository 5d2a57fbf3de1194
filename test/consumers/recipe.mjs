/**
 * Runs the GitHub Actions recipe of docs/guide/testing.md on a copy of sample/05-testing. Only its `run` steps are run, and
 * another server replaces the service container.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/**
 * @param consumer the folder of an application with the sample's dependencies
 * @param tools the folder in which the package `yaml` is installed
 */
export async function checkRecipe({ consumer, directory, tools, run, databaseUrl }) {
  const { parse } = createRequire(path.join(tools, 'package.json'))('yaml');
  const { services, env, steps } = parse(await readRecipe()).jobs.test;
  expectServer(env.DATABASE_URL, services.postgres);
  const project = path.join(directory, 'sample');
  await cp(path.join(root, 'sample/05-testing'), project, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) {
    await cp(path.join(consumer, file), path.join(project, file));
  }
  const commands = steps.flatMap((step) => step.run ?? []);
  deepStrictEqual(commands.at(-1), 'npm test');
  for (const command of commands) {
    await run('bash', ['-e', '-c', command], project, { DATABASE_URL: databaseUrl });
  }
}

async function readRecipe() {
  const page = await readFile(path.join(root, 'docs/guide/testing.md'), 'utf8');
  return /^### GitHub Actions\n\n```yaml\n(.*?)^```/ms.exec(page)[1];
}

/** Checks that the tests' URL matches the service container. */
function expectServer(address, service) {
  const { username, password, hostname, port, protocol } = new URL(address);
  deepStrictEqual(
    [protocol, username, password, hostname, `${port}:5432`],
    ['postgres:', 'postgres', service.env.POSTGRES_PASSWORD, 'localhost', service.ports[0]],
  );
}
