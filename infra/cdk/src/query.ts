import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CfnNamedQuery, CfnWorkGroup } from 'aws-cdk-lib/aws-athena';
import { CfnDatabase, CfnTable } from 'aws-cdk-lib/aws-glue';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { Settings } from './settings.ts';

/** A query over more than this is stopped: $5 at $5 a TB. */
const SCANNED_BYTES_MAX = 1024 ** 4;
/** The statements that whoever uses Athena by hand runs: tables here and there are the same. */
const STATEMENTS = join(import.meta.dirname, '../../sql/athena.sql');

interface Table {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly partition: string;
  readonly properties: Readonly<Record<string, string>>;
}

const TABLE =
  /create external table everlog\.(\w+) \(\n([^)]*)\n\)\npartitioned by \((\w+) string\)\nstored as parquet\nlocation '[^']*'\ntblproperties \(\n([^)]*)\n\);/g;

/** @throws Error where the statements hold no table or no view: they have another form by now */
function readStatements(): { readonly tables: readonly Table[]; readonly view: string } {
  const text = readFileSync(STATEMENTS, 'utf8');
  const tables = [...text.matchAll(TABLE)].map(
    ([, name = '', columns = '', partition = '', properties = '']) => ({
      name,
      columns: columns.split(',\n').map((line) => {
        const [column = '', type = ''] = line.trim().split(' ');
        return { name: column, type };
      }),
      partition,
      properties: Object.fromEntries(
        [...properties.matchAll(/'([^']*)' = '([^']*)'/g)].map(([, key = '', value = '']) => [key, value]),
      ),
    }),
  );
  const [view] = /create or replace view [^;]*/.exec(text) ?? [];
  if (tables.length === 0 || view === undefined) throw new Error(`${STATEMENTS} holds no table or no view`);
  return { tables, view };
}

/** SQL over the query index: a work group that is bounded and encrypted, tables, and the view of jobs as a saved query. */
export function makeQueries(
  scope: Construct,
  settings: Settings,
  places: { readonly archive: Bucket; readonly results: Bucket; readonly key: IKey },
): void {
  const group = new CfnWorkGroup(scope, 'WorkGroup', {
    name: settings.name,
    description: 'Everlog: questions to the query index',
    recursiveDeleteOption: false,
    workGroupConfiguration: {
      enforceWorkGroupConfiguration: true,
      publishCloudWatchMetricsEnabled: true,
      bytesScannedCutoffPerQuery: SCANNED_BYTES_MAX,
      engineVersion: { selectedEngineVersion: 'Athena engine version 3' },
      resultConfiguration: {
        outputLocation: `s3://${places.results.bucketName}/`,
        encryptionConfiguration: { encryptionOption: 'SSE_KMS', kmsKey: places.key.keyArn },
      },
    },
  });
  const databaseName = settings.name.replaceAll('-', '_');
  const database = new CfnDatabase(scope, 'Database', {
    catalogId: settings.account,
    databaseInput: { name: databaseName, description: 'Everlog: the query index' },
  });
  const root = `s3://${places.archive.bucketName}/${settings.prefix}`;
  const { tables, view } = readStatements();
  for (const table of tables) makeTable(scope, database, settings, table, root);
  const saved = new CfnNamedQuery(scope, 'JobsView', {
    database: databaseName,
    name: `${settings.name}: make the view of jobs`,
    description: 'Run once: each job once, by its newest revision',
    workGroup: settings.name,
    queryString: view.replaceAll('everlog.', `${databaseName}.`),
  });
  saved.node.addDependency(group);
}

/** Partitions follow from their form, so that nothing has to be told of a new day. */
function makeTable(
  scope: Construct,
  database: CfnDatabase,
  settings: Settings,
  { name, columns, partition, properties }: Table,
  root: string,
): void {
  const template = (properties['storage.location.template'] ?? '').replace('s3://BUCKET/PREFIX/', root);
  const table = new CfnTable(scope, `Table${name.replaceAll('_', '')}`, {
    catalogId: settings.account,
    databaseName: database.ref,
    tableInput: {
      name,
      tableType: 'EXTERNAL_TABLE',
      partitionKeys: [{ name: partition, type: 'string' }],
      parameters: {
        EXTERNAL: 'TRUE',
        classification: 'parquet',
        ...properties,
        'storage.location.template': template,
      },
      storageDescriptor: {
        columns: columns.map((column) => ({ ...column })),
        location: template.slice(0, template.indexOf(`${partition}=`)),
        inputFormat: 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat',
        outputFormat: 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat',
        serdeInfo: { serializationLibrary: 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe' },
      },
    },
  });
  table.node.addDependency(database);
}
