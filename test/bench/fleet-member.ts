import { Replica } from '../support/replica-process.js';
import type { TestDatabase } from '../support/test-database.js';
import type { FleetOptions } from './fleet-process.js';

/** Starts a process of a fleet. It boots at the first `ask`. */
export function startMember(database: TestDatabase, options: FleetOptions): Replica {
  return Replica.start(database.url, options as object, 'test/bench/fleet-process.ts');
}

export function total(values: number[]): number {
  return values.reduce((sum, each) => sum + each, 0);
}
