import { describe, expect, it } from '@jest/globals';
import { CAPTURE_FUNCTIONS } from '../../../lib/postgres/capture.sql.js';
import { INSTALLATION_VERSION } from '../../../lib/postgres/installation.sql.js';
import { storedFunction, triggerFunction } from '../../../lib/postgres/stored-function.sql.js';
import { WAKE_UP_FUNCTION } from '../../../lib/postgres/wake-up.sql.js';

const body = (): string => '\nBEGIN RETURN 1; END\n';
const edited = (): string => '\nBEGIN RETURN 2; END\n';

describe('storedFunction', () => {
  it('names a function by its text, including its head', () => {
    const name = storedFunction('f', { head: '() RETURNS int', body }).name;
    expect(name).toMatch(/^f_[0-9a-f]{8}$/);
    expect(storedFunction('f', { head: '() RETURNS int', body: edited }).name).not.toBe(name);
    expect(storedFunction('f', { head: '() RETURNS bigint', body }).name).not.toBe(name);
  });

  it('has the same name in each state schema', () => {
    const text = { head: '()', body: (schema: string) => `SELECT FROM "${schema}".t` };
    expect(storedFunction('f', text).create('a')[0]?.text).toContain('"a".t');
    expect(storedFunction('f', text).name).toBe(storedFunction('f', text).name);
  });
});

describe('triggerFunction', () => {
  it('keeps the name and shows a change in the body', () => {
    const one = triggerFunction('f', { head: 'SECURITY DEFINER', body });
    const other = triggerFunction('f', { head: 'SECURITY INVOKER', body });
    expect([one.name, other.name]).toEqual(['f', 'f']);
    expect(one.body('a')).not.toBe(other.body('a'));
  });

  it('is part of the installation version: a changed function raises it', () => {
    const marks = [...CAPTURE_FUNCTIONS, WAKE_UP_FUNCTION].map(
      (each) => /^\n-- (\w+)/.exec(each.body('state'))?.[1],
    );
    expect([INSTALLATION_VERSION, ...marks]).toEqual([9, 'e0294c98', '8aeb4c2d', '041b2b4a']);
  });
});
