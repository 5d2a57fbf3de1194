import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** The loaders for TypeScript that users have, with what these need, and what else the checks use. */
const PACKAGES = {
  '@swc-node/register': '1.12.1',
  '@swc/core': '1.16.18',
  '@oxc-node/core': '0.1.7',
  'ts-node': '10.9.2',
  tsx: '4.23.15',
  typescript: '5.9.3',
  '@types/node': '20.19.43',
  yaml: '2.9.1',
};

/**
 * Installs them once for all.
 *
 * @returns where they are
 */
export async function installTools(directory, run) {
  const home = path.join(directory, 'tools');
  await mkdir(home);
  await writeFile(
    path.join(home, 'package.json'),
    JSON.stringify({ private: true, dependencies: PACKAGES }),
  );
  await run('npm', ['install', '--no-audit', '--no-fund'], home);
  return home;
}
