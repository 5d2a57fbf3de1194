/** Tables and views stand in a schema of their own, so that the sample can share your database. */
export const SCHEMA = 'browser_compat';
