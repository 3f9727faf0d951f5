<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34.0" styleCategories="Symbology|Labeling" labelsEnabled="1">
  <renderer-v2 type="categorizedSymbol" attr="CASE WHEN &quot;kind&quot; = 'exclusive' THEN 'exclusive' WHEN &quot;fault&quot; IS NULL THEN 'sound' ELSE 'fault' END" enableorderby="0" forceraster="0" symbollevels="0">
    <categories>
      <category value="sound" symbol="0" label="网格" render="true" type="string"/>
      <category value="exclusive" symbol="2" label="专属网格" render="true" type="string"/>
      <category value="fault" symbol="1" label="有问题的网格" render="true" type="string"/>
    </categories>
    <symbols>
      <symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="220,234,246,140"/>
            <Option type="QString" name="style" value="solid"/>
            <Option type="QString" name="outline_color" value="91,91,91,255"/>
            <Option type="QString" name="outline_style" value="solid"/>
            <Option type="QString" name="outline_width" value="0.5"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
      </symbol>
      <symbol type="fill" name="1" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="220,234,246,140"/>
            <Option type="QString" name="style" value="solid"/>
            <Option type="QString" name="outline_color" value="180,0,110,255"/>
            <Option type="QString" name="outline_style" value="solid"/>
            <Option type="QString" name="outline_width" value="1"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
      </symbol>
      <symbol type="fill" name="2" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="91,91,91,255"/>
            <Option type="QString" name="style" value="b_diagonal"/>
            <Option type="QString" name="outline_color" value="91,91,91,255"/>
            <Option type="QString" name="outline_style" value="solid"/>
            <Option type="QString" name="outline_width" value="0.5"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
      </symbol>
    </symbols>
  </renderer-v2>
  <labeling type="simple">
    <settings calloutType="simple">
      <text-style fieldName="grid_id" isExpression="0" fontFamily="Noto Sans CJK SC" namedStyle="Bold" fontWeight="75" fontSize="12" fontSizeUnit="Point" textColor="30,33,38,255" textOpacity="1">
        <background shapeDraw="1" shapeType="3" shapeSizeType="0" shapeSizeX="1" shapeSizeY="1" shapeSizeUnit="MM" shapeFillColor="255,255,255,255" shapeBorderColor="91,91,91,255" shapeBorderWidth="0.35" shapeBorderWidthUnit="MM" shapeOpacity="1"/>
      </text-style>
      <placement placement="1" centroidInside="1" fitInPolygonOnly="0" priority="10"/>
      <rendering drawLabels="1" obstacle="0" displayAll="1" scaleVisibility="0"/>
    </settings>
  </labeling>
  <blendMode>0</blendMode>
  <layerGeometryType>2</layerGeometryType>
</qgis>
