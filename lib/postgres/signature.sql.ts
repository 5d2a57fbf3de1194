/* The parts of a signature, which `source_state` computes. */

/**
 * The last two parts of a signature. The first of them is the view's own definition. The second identifies the view's
 * rows: each refresh, by hand too, writes a new version of its row in pg_class, and a swap creates another view. The
 * schema is included, because while it has another name, the log is not kept for the view. A refresh reads this after
 * its REFRESH, in the same transaction.
 */
export function viewIdentity(oid: string): string {
  return `(
    SELECT pg_catalog.concat(c.oid, '.', w.xmin, '.', n.oid, '.', n.xmin, ':', c.xmin)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
    WHERE c.oid = ${oid}
  )`;
}

function part(signature: string, position: number): string {
  return `pg_catalog.split_part(${signature}, ':', ${position})`;
}

/** The signature that a refresh stores: of the sources as they were before it, and of the view as it is now. */
export function signatureAfterRefresh(signature: string, oid: string): string {
  const parts = [1, 2, 3].map((position) => part(signature, position));
  return [...parts, viewIdentity(oid)].join(` || ':' || `);
}

/** Whether two signatures are of the same queries over the same relations, whatever the relations contain. */
export function haveSameDefinitions(one: string, other: string): string {
  return sameParts(one, other, [1, 4]);
}

/** Whether two signatures are equal apart from the settings, which are those of the session that asks. */
export function areEqualButForSettings(one: string, other: string): string {
  return sameParts(one, other, [1, 2, 4, 5]);
}

function sameParts(one: string, other: string, positions: number[]): string {
  return positions
    .map((position) => `${part(one, position)} = ${part(other, position)}`)
    .join(' AND ');
}

/**
 * The mark at the beginning of a signature if writes to some source can't be noticed, so that it only shows
 * DDL.
 */
export const OBSTRUCTED = '!';

/**
 * The mark at the beginning of a signature if writes are noticed, but a refresh may give other rows even
 * without a write.
 */
export const UNSURE = '?';

/** The first OID after initdb: everything below it belongs to the system. */
export const FIRST_NORMAL_OID = 16384;

/**
 * A digest of catalog rows: their count, and the sum of the hashes of their versions. The versions themselves are not
 * added up, because a transaction with an old ID that ends late may change several rows so that the sum stays the same.
 * A set of versions never comes back: a later change has the ID of a transaction that had not ended when the digest was
 * read, so no row in the digest has that ID.
 */
export function digestOf(rows: string, alias: string): string {
  return `(SELECT ${versionsOf(alias)} FROM pg_catalog.${rows})`;
}

/** The same for rows that a query reads. */
export function versionsOf(alias: string): string {
  return `pg_catalog.concat_ws('.', count(*), ${hashOfVersions(alias)})`;
}

/** Can also be added up over groups of rows. */
export function hashOfVersions(alias: string): string {
  return `sum(${hashOfVersion(alias)})`;
}

/** Of a single row, to be added up. */
export function hashOfVersion(alias: string): string {
  return `pg_catalog.hashint8extended(${alias}.xmin::text::bigint, 0)`;
}
