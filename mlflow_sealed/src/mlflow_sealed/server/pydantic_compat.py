"""What the server uses of pydantic that is not part of its public interface.

tests/mlflow_sealed/server/test_pydantic_compat.py fails when pydantic changes it. The structure of
core schemas, which `protocol.core_schema` and `protocol.number_text` walk, is held there too.
"""

from pydantic_core import CoreSchema, SchemaValidator


def validator(schema: CoreSchema) -> SchemaValidator:
    """Return a validator that follows a schema to the letter.

    By default pydantic takes the validator that a model class has already, whatever the schema says
    about the class's fields: numbers would not be accepted as text.
    """
    return SchemaValidator(schema, _use_prebuilt=False)
