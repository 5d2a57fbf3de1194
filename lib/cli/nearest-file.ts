import { existsSync } from 'node:fs';
import path from 'node:path';

/** The file of that name in the directory, or in the nearest one above it. */
export function nearestFile(name: string, directory: string): string | undefined {
  const file = path.join(directory, name);
  if (existsSync(file)) {
    return file;
  }
  const parent = path.dirname(directory);
  return parent === directory ? undefined : nearestFile(name, parent);
}
