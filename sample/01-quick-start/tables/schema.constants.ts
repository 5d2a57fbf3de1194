/** The tables and views have their own schema, so that the sample can share your database. */
export const SCHEMA = 'browser_compat';
