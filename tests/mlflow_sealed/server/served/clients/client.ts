// Posts the rows of the second argument in each form to the server of the first, and prints what
// comes back. `tsc` checks it against the types that openapi-typescript made of the document.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Patient = components["schemas"]["Patient"];

const [baseUrl, sent] = process.argv.slice(2) as [string, string];
const rows: Patient[] = JSON.parse(sent);
const client = createClient<paths>({ baseUrl });

const params = { explain: true };
const listed = await client.POST("/invocations", { body: { inputs: rows, params } });
console.log(JSON.stringify(listed.data?.predictions));

const columns: components["schemas"]["InvocationTable"]["columns"] = [
  "pregnancies", "glucose", "blood_pressure", "skin_thickness",
  "insulin", "bmi", "diabetes_pedigree", "age",
];
const data = rows.map((row): components["schemas"]["InvocationTable"]["data"][number] => [
  row.pregnancies, row.glucose, row.blood_pressure, row.skin_thickness,
  row.insulin, row.bmi, row.diabetes_pedigree, row.age,
]);
const table = await client.POST("/invocations", { body: { dataframe_split: { columns, data } } });
console.log(JSON.stringify(table.data?.predictions));

// What the types forbid, the server rejects.
// @ts-expect-error a field is missing
const { error } = await client.POST("/invocations", { body: { inputs: [{ ...rows[0]!, age: undefined }] } });
console.log(JSON.stringify(error?.message));
