import { expect } from '@jest/globals';
import type { TestDatabase } from './test-database.js';

interface Needs {
  role: string;
  /** Grants (`privilege ON object`, or a role) and the hint of the error without each. */
  needs: Record<string, RegExp | undefined>;
  work: () => Promise<unknown>;
  /** Undoes what `work` did, so that it can run again. */
  reset?: () => Promise<unknown>;
}

/** Expects that `work` succeeds with these privileges, and fails if any one is missing. */
export async function expectEachNeeded(
  database: TestDatabase,
  { role, needs, work, reset = () => Promise.resolve() }: Needs,
): Promise<void> {
  for (const need of Object.keys(needs)) {
    await database.query(`GRANT ${need} TO ${role}`);
  }
  await expect(work()).resolves.toBeDefined();
  for (const [need, hint] of Object.entries(needs)) {
    await reset();
    await database.query(`REVOKE ${need} FROM ${role}`);
    const error = await work().then(
      () => 'none',
      (thrown: unknown) => thrown,
    );
    expect({ need, error }).toMatchObject({
      need,
      error: {
        cause: { code: '42501' },
        ...(hint && { hint: expect.stringMatching(hint) as unknown }),
      },
    });
    await database.query(`GRANT ${need} TO ${role}`);
  }
  await reset();
  for (const need of Object.keys(needs)) {
    await database.query(`REVOKE ${need} FROM ${role}`);
  }
}
