/**
 * The recipe for GitHub Actions of docs/guide/testing.md, as it stands there, on a copy of sample/05-testing. The
 * checkout and Node are here, and in the place of the service container is another server.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/**
 * @param consumer an application whose packages are those of the sample
 * @param tools where the package `yaml` is installed
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

/** The address of the tests is that of the service. */
function expectServer(address, service) {
  const { username, password, hostname, port, protocol } = new URL(address);
  deepStrictEqual(
    [protocol, username, password, hostname, `${port}:5432`],
    ['postgres:', 'postgres', service.env.POSTGRES_PASSWORD, 'localhost', service.ports[0]],
  );
}
