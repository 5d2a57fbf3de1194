import type {
  CompatData,
  CompatStatement,
  Identifier,
  SimpleSupportStatement,
} from '@mdn/browser-compat-data/types';
import type { Browser } from './browser.entity.js';
import type { Feature } from './feature.entity.js';
import type { Release } from './release.entity.js';
import type { SupportStatement } from './support-statement.entity.js';

export interface CompatRows {
  /** The version of the package. */
  version: string;
  browsers: Browser[];
  releases: Release[];
  features: Feature[];
  supportStatements: SupportStatement[];
}

/** Flattens the package's tree to the rows of four tables. */
export function compatRows({ __meta: meta, browsers, ...areas }: CompatData): CompatRows {
  const rows: CompatRows = {
    version: meta.version,
    browsers: [],
    releases: [],
    features: [],
    supportStatements: [],
  };
  for (const [id, { name, type, releases }] of Object.entries(browsers)) {
    rows.browsers.push({ id, name, type });
    for (const [version, { release_date, status }] of Object.entries(releases)) {
      rows.releases.push({ browserId: id, version, releasedOn: release_date ?? null, status });
    }
  }
  const versions = new Set(rows.releases.map((each) => `${each.browserId} ${each.version}`));
  for (const [path, compat] of compatStatements(areas)) {
    const featureId = rows.features.length + 1;
    rows.features.push({ id: featureId, path, area: path.split('.', 1)[0] ?? path });
    for (const [browserId, support] of Object.entries(compat.support)) {
      for (const statement of [support].flat()) {
        const version = releaseOf(statement);
        rows.supportStatements.push({
          id: rows.supportStatements.length + 1,
          featureId,
          browserId,
          versionAdded: versions.has(`${browserId} ${version}`) ? version : null,
          isFull: isFull(statement),
        });
      }
    }
  }
  return rows;
}

function* compatStatements(
  node: Record<string, Identifier>,
  parentPath = '',
): Generator<[path: string, compat: CompatStatement]> {
  for (const [key, child] of Object.entries(node)) {
    if (key === '__compat') {
      continue;
    }
    const path = parentPath === '' ? key : `${parentPath}.${key}`;
    if (child.__compat !== undefined) {
      yield [path, child.__compat];
    }
    yield* compatStatements(child, path);
  }
}

/** `≤79` means 79 or earlier. `preview` and `false` are not releases. */
function releaseOf({ version_added: version }: SimpleSupportStatement): string {
  return String(version).replace('≤', '');
}

function isFull(statement: SimpleSupportStatement): boolean {
  const { version_removed, partial_implementation, flags, prefix, alternative_name } = statement;
  return [version_removed, partial_implementation, flags, prefix, alternative_name].every(
    (exception) => exception === undefined,
  );
}
