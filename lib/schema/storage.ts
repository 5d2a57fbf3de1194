import type { ViewDefinition } from '../definition/view-definition.js';
import { splitParameter } from '../postgres/view-ddl.sql.js';

type Storage = Pick<ViewDefinition, 'storage' | 'accessMethod'>;

/**
 * VACUUM would lock a view that has shrunk against its readers, to give pages back that the next refresh takes again.
 * Standbys replay that lock, and their readers cannot hold it off.
 */
const HEAP_DEFAULTS = { vacuum_truncate: false };

/** The parameters that a view gets where the library makes it, as the catalog has them. */
export function storageOf(view: Storage): string[] {
  return written({ ...defaultsOf(view), ...view.storage });
}

/** The names of these. */
export function storageNames(view: Storage): string[] {
  return storageOf(view).map((parameter) => splitParameter(parameter)[0]);
}

/** Whether a view that declares parameters has others. Those by default may be there or not. */
export function storageDiffers(view: Storage, deployed: readonly string[]): boolean {
  return (
    view.storage !== undefined &&
    ![written(view.storage), storageOf(view)].some((wanted) => haveSame(wanted, deployed))
  );
}

/** The names of the deployed storage parameters that the library would not give the view. */
export function undeclaredStorage(view: Storage, deployed: readonly string[]): string[] {
  const names = storageNames(view);
  return deployed
    .map((parameter) => splitParameter(parameter)[0])
    .filter((name) => !names.includes(name));
}

/** Other access methods may refuse the parameters of heaps. */
function defaultsOf({ accessMethod = 'heap' }: Storage): Record<string, boolean> {
  return accessMethod === 'heap' ? HEAP_DEFAULTS : {};
}

function written(storage: NonNullable<Storage['storage']>): string[] {
  return Object.entries(storage).map(([name, value]) => `${name}=${String(value)}`);
}

function haveSame(wanted: readonly string[], deployed: readonly string[]): boolean {
  return wanted.length === deployed.length && wanted.every((each) => deployed.includes(each));
}
