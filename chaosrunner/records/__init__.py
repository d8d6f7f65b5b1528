"""What models and other plain records are made of, so that declaring hundreds of them costs a start next to nothing.

`declaring` and `quick`: models. `readers`: how their values are read and written. `law`: the same models as pydantic's,
where pydantic is asked. `light`: dataclasses.
"""
