/** How to create missing tables and functions of the library, under every policy. */
export const OWN_TABLES_HINT =
  'The next boot creates what is missing, unless `synchronize` is false: then generate a migration with SchemaService.generateMigration, and run it.';
