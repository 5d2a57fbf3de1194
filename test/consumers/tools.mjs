import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** The TypeScript loaders that users have, the packages that these need, and other packages for the checks. */
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
 * Installs the packages once, for all checks.
 *
 * @returns the folder
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
